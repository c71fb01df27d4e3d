/** Text for the operator's terminal. A host wrote some of it, and neither Pulumi nor a terminal takes it as mere text. Pure. */

const bidi = String.raw`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069`;
/** C0 without tab and newline, DEL, C1, and what turns the direction of writing. */
const controls = new RegExp(String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f${bidi}]`, "g");

/**
 * Nothing in it moves the cursor, sets colours, title or clipboard, or shows words in another order: what controls a
 * terminal becomes U+FFFD, and `<{%`, which begins a colour of Pulumi's own, is no longer one word. A carriage return,
 * as a progress bar has it, ends the line, so that what stands before it stays to be seen.
 */
export const printable = (text: string): string =>
  text
    .replace(/\r+\n?/g, "\n")
    .replace(controls, "\ufffd")
    .replaceAll("<{%", "<{ %");
