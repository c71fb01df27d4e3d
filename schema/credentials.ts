/** Logins in the text of a URL, which is no place for them: it is an argument of programs, and lies in files. Pure. */

/** Of http all that is before the `@`, which a token may be; elsewhere what has a password: `ssh://git@host` names an account. */
const login = String.raw`[hH][tT]{2}[pP][sS]?:\/\/[^\/?#\s]*@|[A-Za-z][A-Za-z0-9+.\-]*:\/\/[^\/?#\s:@]*:[^\/?#\s]*@`;

const anywhere = new RegExp(login, "g");

/** Matches a URL without a login, and text that is no URL. */
export const withoutLogin = new RegExp(`^(?!${login})`);

export const holdsLogin = (text: string): boolean => text.search(anywhere) !== -1;

/** The text as a message may show it. */
export const maskLogins = (text: string): string =>
  text.replace(anywhere, (found) => `${found.slice(0, found.indexOf("://"))}://***@`);
