/**
 * What an application may be called: its name stands in file names, in types,
 * before the prompt's methods and as the name of its vnode module.
 *
 * @module
 */

/** Longest name, as of a vnode module. */
export const NAME_LENGTH_MAX = 32;

/** Names a person has at the prompt anyway, and the module every node runs. */
const TAKEN = ["kv", "ra_kv", "cluster", "node"];

/** Words that cannot be names in a JavaScript module. */
const RESERVED = new Set(
  ("arguments await break case catch class const continue debugger default delete do else enum eval export " +
    "extends false finally for function if implements import in instanceof interface let new null package " +
    "private protected public return static super switch this throw true try typeof var void while with yield")
    .split(" "),
);

/** An application's name in the spellings that code has of it. */
export interface Spellings {
  /** `shopping_list` */
  readonly snake: string;
  /** `shoppingList` */
  readonly camel: string;
  /** `ShoppingList` */
  readonly pascal: string;
}

/** Why `name` cannot be an application's, as the end of a sentence; undefined if it can. */
export function nameProblem(name: string): string | undefined {
  if (
    !/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) ||
    name.length > NAME_LENGTH_MAX
  ) {
    return `must be small letters, digits and single '_' between them, begin with a letter and have at most ${NAME_LENGTH_MAX} characters`;
  }
  if (TAKEN.includes(name)) return "must not be a name of Whorl's own";
  if (RESERVED.has(name)) return "must not be a word of JavaScript";
  // At the prompt it would hide what is meant by that name.
  if (name in globalThis) return "must not be a global name of JavaScript";
  return undefined;
}

/** The spellings of `name`. */
export function spellingsOf(name: string): Spellings {
  const pascal = name.split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return {
    snake: name,
    camel: pascal.charAt(0).toLowerCase() + pascal.slice(1),
    pascal,
  };
}
