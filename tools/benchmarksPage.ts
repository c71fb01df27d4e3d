/** The sections of docs/benchmarks.md that a benchmark writes. */
import { writePageSection } from "./pageSection";

export const writeSection = (name: string, section: string): void =>
  writePageSection("benchmarks.md", name, section);
