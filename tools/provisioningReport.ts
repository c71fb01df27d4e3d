/** From the seconds that bench/provisioning/run measured to the table in docs/benchmarks.md and its chart. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { writeSection } from "./benchmarksPage";
import { root } from "./pageSection";

const tools = { netdisk: "netdisk", script: "shell script over ssh", ansible: "Ansible playbook" } as const;
const tasks = { first: "first run", none: "nothing to do", drift: "one drift to repair" } as const;
type Tool = keyof typeof tools;
type Task = keyof typeof tasks;

const toolNames = Object.keys(tools) as Tool[];
const taskNames = Object.keys(tasks) as Task[];

interface Measured {
  seconds: number;
  load: number;
}

function read(file: string): Map<string, Measured[]> {
  const all = new Map<string, Measured[]>();
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const [tool = "", task = "", seconds, load] = line.split("\t");
    const key = `${tool} ${task}`;
    all.set(key, [...(all.get(key) ?? []), { seconds: Number(seconds), load: Number(load) }]);
  }
  return all;
}

function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
  return (lower + upper) / 2;
}

const shown = (seconds: number): string => (seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0));

function table(all: Map<string, Measured[]>): string {
  const row = (task: Task): string => {
    const cells = toolNames.map((tool) => {
      const seconds = (all.get(`${tool} ${task}`) ?? []).map((it) => it.seconds);
      if (seconds.length === 0)
        throw new Error(`no result of ${tool} for "${task}". Run the benchmark again.`);
      const range =
        seconds.length > 1 ? ` (${shown(Math.min(...seconds))}–${shown(Math.max(...seconds))})` : "";
      return `${shown(median(seconds))}${range}`;
    });
    return `| ${tasks[task]} | ${cells.join(" | ")} |`;
  };
  return [
    `| seconds, median (range) | ${Object.values(tools).join(" | ")} |`,
    `| --- | ${toolNames.map(() => "---").join(" | ")} |`,
    ...taskNames.map(row),
  ].join("\n");
}

const colours: Record<Tool, string> = { netdisk: "#1f6feb", script: "#8b949e", ansible: "#d29922" };

/** A group of bars for each task, each group with a scale of its own: a no-op is seconds, a first run minutes. */
function chart(all: Map<string, Measured[]>): string {
  const width = 720;
  const [left, bar, gap, head] = [190, 22, 6, 34];
  const group = head + toolNames.length * (bar + gap) + 10;
  const parts = taskNames.flatMap((task, i) => {
    const values = toolNames.map((tool) =>
      median((all.get(`${tool} ${task}`) ?? []).map((it) => it.seconds)),
    );
    const most = Math.max(...values);
    const top = i * group;
    return [
      `<text x="0" y="${top + 20}" font-weight="bold">${tasks[task]}</text>`,
      ...toolNames.flatMap((tool, n) => {
        const y = top + head + n * (bar + gap);
        const length = Math.max(2, Math.round(((values[n] ?? 0) / most) * (width - left - 80)));
        return [
          `<text x="${left - 8}" y="${y + 16}" text-anchor="end">${tools[tool]}</text>`,
          `<rect x="${left}" y="${y}" width="${length}" height="${bar}" fill="${colours[tool]}"/>`,
          `<text x="${left + length + 6}" y="${y + 16}">${shown(values[n] ?? NaN)} s</text>`,
        ];
      }),
    ];
  });
  const height = taskNames.length * group;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Seconds by task and tool; the table says the same" font-family="sans-serif" font-size="14">
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

function main(file: string | undefined): void {
  if (file === undefined)
    throw new Error("Call it as bench/provisioning/run does, with the file of results.");
  const all = read(file);
  const loads = [...all.values()].flat().map((it) => it.load);
  const rounds = Math.max(...[...all.values()].map((it) => it.length));
  const machine = `Measured on ${cpus().length} processors (${cpus()[0]?.model.trim() ?? "unknown"}), which both hosts and the tools share; ${rounds} round${rounds === 1 ? "" : "s"}; load of the machine meanwhile ${shown(Math.min(...loads))} to ${shown(Math.max(...loads))}, median ${shown(median(loads))}.`;
  writeSection("provisioning", `${table(all)}\n\n![The same as bars](provisioning.svg)\n\n${machine}`);
  writeFileSync(join(root, "docs/provisioning.svg"), chart(all));
}

main(process.argv[2]);
