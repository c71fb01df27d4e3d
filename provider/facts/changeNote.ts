/** The note of a change of a disk's key that was begun. */

export interface ChangeNote {
  /** Key slots. */
  from: number;
  to: number;
  luksUuid: string;
}

export const changeText = ({ from, to, luksUuid }: ChangeNote): string =>
  `key slot ${from} to ${to} of ${luksUuid}`;

/** Undefined where it is none. */
export function parseChangeNote(text: string): ChangeNote | undefined {
  const [, from, to, luksUuid] = /^key slot ([0-7]) to ([0-7]) of ([0-9a-f-]{36})\n$/.exec(text) ?? [];
  return luksUuid === undefined ? undefined : { from: Number(from), to: Number(to), luksUuid };
}
