/** The commands of one step of a recovery sheet, as they are printed. */
export const commandsOf = (sheet: string, step: number): string =>
  sheet
    .split(/^(?=\d\. )/m)
    .filter((part) => part.startsWith(`${step}. `))
    .flatMap((part) => part.split("\n").filter((line) => line.startsWith("       ")))
    .join("\n");
