/**
 * The few looks the command line uses, each a function from text to text that
 * does nothing where colour is not welcome.
 *
 * @module
 */

/** Turns text into the same text with a look. */
export type Look = (text: string) => string;

/** The looks by meaning. */
export interface Style {
  readonly strong: Look;
  readonly dim: Look;
  readonly good: Look;
  readonly bad: Look;
  /** One of six colours, to tell nodes apart. */
  readonly nth: (index: number) => Look;
}

/** The looks, or plain text if `color` is false. */
export function styleFor(color: boolean): Style {
  const look = (open: number, close: number): Look =>
    color ? (text) => `\x1b[${open}m${text}\x1b[${close}m` : (text) => text;
  // Cyan, magenta, yellow, green, blue, red: the order in which neighbours differ most.
  const colors = [36, 35, 33, 32, 34, 31];
  return {
    strong: look(1, 22),
    dim: look(2, 22),
    good: look(32, 39),
    bad: look(31, 39),
    nth: (index) => look(colors[index % colors.length]!, 39),
  };
}
