/** Which tests the words of a command line mean. Pure. */

/** What `tests/DIR/group.list` says, by DIR: `001 rw dir auto quick` a line. */
export type GroupLists = Record<string, string>;

interface Listed {
  test: string;
  groups: string[];
}

const listed = (lists: GroupLists): Listed[] =>
  Object.entries(lists).flatMap(([folder, list]) =>
    list
      .split("\n")
      .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
      .filter(([name]) => name !== undefined && /^\d{3,}$/.test(name))
      .map(([name = "", ...groups]) => ({ test: `${folder}/${name}`, groups })),
  );

/**
 * `xfs/004` is a test, `xfs/quick` those of a folder in a group, `quick` those of all folders. Each once, in the order of
 * the words. A word that means nothing throws: it would be taken for "nothing failed".
 */
export function testsNamed(words: readonly string[], lists: GroupLists): string[] {
  const all = listed(lists);
  const found = words.flatMap((word) => {
    const [folder, name] = word.includes("/") ? word.split("/") : [undefined, word];
    const here = all.filter(({ test }) => folder === undefined || test.startsWith(`${folder}/`));
    const tests = here.filter(({ test, groups }) => test === word || (name && groups.includes(name)));
    if (tests.length === 0) {
      throw new Error(
        `xfstests has no test or group ${word} in ${Object.keys(lists).join(", ")}. Correct it.`,
      );
    }
    return tests.map(({ test }) => test);
  });
  return [...new Set(found)];
}
