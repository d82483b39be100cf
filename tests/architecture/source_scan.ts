/**
 * Reads TypeScript just far enough to ask questions about it: a scanner that
 * tells code from comments, strings, templates and regular expressions, and on
 * top of it which modules a file names. A parser would know more, but would be
 * a dependency; a `grep` would trip over every string that looks like code.
 *
 * @module
 */

/** What a token is. A template's fixed parts are `template`, the code in its `${}` is code. */
export type TokenKind =
  | "word"
  | "number"
  | "punctuation"
  | "string"
  | "template"
  | "regexp"
  | "comment";

/** One token. */
export interface Token {
  readonly kind: TokenKind;
  /** The characters; of a string or template those between the quotes, escapes as written. */
  readonly text: string;
  /** Line it begins on, from 1. */
  readonly line: number;
}

/** How a file names another module. */
export type ModuleUse =
  /** `import … from`, `export … from`, `import "x"`. */
  | "static"
  /** The same with `import type` or `export type`, or `import("x").T` in a type: gone when the code runs. */
  | "type"
  /** `import("x")`. */
  | "dynamic"
  /** `new URL("x", import.meta.url)` or `import.meta.resolve("x")`. */
  | "url";

/** One place where a file names another module. */
export interface ModuleReference {
  /** As written, or undefined where it is computed. */
  readonly specifier: string | undefined;
  readonly use: ModuleUse;
  /** The exported names taken, `*` for all of them; empty where only the module is named. */
  readonly names: readonly string[];
  readonly line: number;
}

const SPACE = /\s+/y;
const LINE_COMMENT = /\/\/[^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?(?:\*\/|$)/y;
const WORD = /[\p{ID_Start}$_#@][\p{ID_Continue}$]*/uy;
const NUMBER = /\.?\d(?:[eE][+-]?\d|[\w.])*/y;
// A quote that its line does not close is left as it is: the compiler says more about it.
const STRING = /"((?:[^"\\\n]|\\[\s\S])*)"|'((?:[^'\\\n]|\\[\s\S])*)'/y;
const REGEXP =
  /\/(?![*/])(?:[^\\/[\n]|\\[^\n]|\[(?:[^\\\]\n]|\\[^\n])*\])+\/[a-z]*/y;
const TEMPLATE_PART = /((?:[^`\\$]|\\[\s\S]|\$(?!\{))*)(`|\$\{|$)/y;

/** After these words an operand begins, so that a slash opens a regular expression. */
const OPERAND_FOLLOWS = new Set(
  "return typeof case in of delete void throw new await yield instanceof else do"
    .split(" "),
);

/** The tokens of `source`, comments included. */
export function scanTokens(source: string): Token[] {
  const tokens: Token[] = [];
  /** Per open template: how many braces its current `${` has open. */
  const openBraces: number[] = [];
  let position = 0;
  let line = 1;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    return pattern.exec(source);
  };
  const advance = (text: string): void => {
    position += text.length;
    for (const character of text) if (character === "\n") line++;
  };
  const take = (kind: TokenKind, whole: string, text = whole): void => {
    tokens.push({ kind, text, line });
    advance(whole);
  };
  const takeTemplatePart = (): void => {
    const [whole, text, end] = match(TEMPLATE_PART)!;
    take("template", whole, text);
    if (end === "${") openBraces.push(0);
  };

  // A first line for the operating system is no code.
  const shebang = match(/#![^\n]*/y);
  if (shebang) take("comment", shebang[0]);
  while (position < source.length) {
    let found = match(SPACE);
    if (found) {
      advance(found[0]);
      continue;
    }
    found = match(LINE_COMMENT) ?? match(BLOCK_COMMENT);
    if (found) {
      take("comment", found[0]);
      continue;
    }
    found = match(STRING);
    if (found) {
      take("string", found[0], found[1] ?? found[2] ?? "");
      continue;
    }
    const character = source[position]!;
    if (character === "`") {
      advance(character);
      takeTemplatePart();
      continue;
    }
    if (character === "/" && operandMayFollow(tokens)) {
      found = match(REGEXP);
      if (found) {
        take("regexp", found[0]);
        continue;
      }
    }
    found = match(WORD);
    if (found) {
      take("word", found[0]);
      continue;
    }
    found = match(NUMBER);
    if (found) {
      take("number", found[0]);
      continue;
    }
    if (openBraces.length > 0) {
      const last = openBraces.length - 1;
      if (character === "{") openBraces[last]!++;
      if (character === "}" && openBraces[last]!-- === 0) {
        openBraces.pop();
        advance(character);
        takeTemplatePart();
        continue;
      }
    }
    take("punctuation", character);
  }
  return tokens;
}

/** The tokens of `source` without its comments. */
export function scanCode(source: string): Token[] {
  return scanTokens(source).filter((token) => token.kind !== "comment");
}

/** Tells a regular expression from a division by what stands before the slash. */
function operandMayFollow(tokens: readonly Token[]): boolean {
  let at = tokens.length - 1;
  while (at >= 0 && tokens[at]!.kind === "comment") at--;
  const last = tokens[at];
  if (last === undefined) return true;
  if (last.kind === "word") return OPERAND_FOLLOWS.has(last.text);
  if (last.kind !== "punctuation") return false;
  if (")]}".includes(last.text)) return false;
  const before = tokens[at - 1];
  // `count++ / 2` and `size! / 2`.
  if ("+-".includes(last.text)) return before?.text !== last.text;
  if (last.text !== "!") return true;
  return before === undefined ||
    (before.kind === "punctuation" && !")]}".includes(before.text)) ||
    (before.kind === "word" && OPERAND_FOLLOWS.has(before.text));
}

/** Every module that `tokens`, which hold no comments, name. */
export function moduleReferences(tokens: readonly Token[]): ModuleReference[] {
  const references: ModuleReference[] = [];
  const text = (at: number): string | undefined => {
    const token = tokens[at];
    return token?.kind === "word" || token?.kind === "punctuation"
      ? token.text
      : undefined;
  };
  const follows = (at: number, ...texts: string[]): boolean =>
    texts.every((expected, i) => text(at + i) === expected);
  const add = (
    at: number,
    use: ModuleUse,
    specifierAt: number,
    names: readonly string[] = [],
  ): void => {
    const { line } = tokens[at]!;
    references.push({
      specifier: fixedText(tokens, specifierAt),
      use,
      names,
      line,
    });
  };

  tokens.forEach((token, at) => {
    if (token.kind !== "word" || text(at - 1) === ".") return;
    if (token.text === "import" && tokens[at + 1]?.kind === "string") {
      add(at, "static", at + 1);
    } else if (token.text === "import" && text(at + 1) === "(") {
      const call = text(closing(tokens, at + 1) + 1) === ".";
      const named = text(closing(tokens, at + 1) + 2);
      // A promise's methods are all lower case, the types of this project are not.
      const isType = call && named !== undefined && /^[A-Z]/.test(named);
      add(at, isType ? "type" : "dynamic", at + 2, isType ? [named] : ["*"]);
    } else if (follows(at, "import", ".", "meta", ".", "resolve", "(")) {
      add(at, "url", at + 6);
    } else if (
      follows(at, "new", "URL", "(") &&
      follows(at + 4, ",", "import", ".", "meta", ".", "url")
    ) {
      add(at, "url", at + 3);
    } else if (token.text === "import" || token.text === "export") {
      const clause = importClause(tokens, at + 1);
      if (clause) {
        const use = clause.typeOnly ? "type" : "static";
        add(at, use, clause.specifierAt, clause.names);
      }
    }
  });
  return references;
}

/** The text of a string, or of a template without `${}`. */
function fixedText(tokens: readonly Token[], at: number): string | undefined {
  const token = tokens[at];
  if (token?.kind === "string") return token.text;
  const next = tokens[at + 1];
  const ends = next?.kind === "punctuation" && ",)".includes(next.text);
  return token?.kind === "template" && ends ? token.text : undefined;
}

/** Index of the parenthesis that closes the one at `open`. */
function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    const { kind, text } = tokens[at]!;
    if (kind !== "punctuation") continue;
    if (text === "(") depth++;
    if (text === ")" && --depth === 0) return at;
  }
  return tokens.length;
}

interface ImportClause {
  readonly typeOnly: boolean;
  readonly names: readonly string[];
  readonly specifierAt: number;
}

/** What stands between `import` or `export` and its specifier; undefined if no specifier follows. */
function importClause(
  tokens: readonly Token[],
  start: number,
): ImportClause | undefined {
  const names: string[] = [];
  let valueNames = 0;
  let inBraces = false;
  let at = start;
  const word = (offset: number): string | undefined => {
    const token = tokens[at + offset];
    return token?.kind === "word" ? token.text : undefined;
  };
  // `import type from "x"` takes a default export of that name.
  const typeOnly = word(0) === "type" &&
    !(word(1) === "from" && tokens[at + 2]?.kind === "string");
  if (typeOnly) at++;
  for (; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.kind === "word" && token.text === "from") {
      if (tokens[at + 1]?.kind === "string") {
        // Braces of types alone still load the module under `verbatimModuleSyntax`.
        return { typeOnly, names, specifierAt: at + 1 };
      }
    }
    if (token.kind === "punctuation" && "{},*".includes(token.text)) {
      if (token.text === "{") inBraces = true;
      if (token.text === "}") inBraces = false;
      if (token.text === "*") names.push("*");
      continue;
    }
    // Anything else than names, as in `export const`, is no such clause.
    if (token.kind !== "word" && token.kind !== "string") return undefined;
    if (token.text === "as") {
      at++;
      continue;
    }
    if (inBraces && token.text === "type" && word(1) !== undefined) {
      if (word(1) !== "as") continue;
    }
    if (!inBraces && ++valueNames > 1) return undefined;
    names.push(token.text === "default" || !inBraces ? "default" : token.text);
  }
  return undefined;
}
