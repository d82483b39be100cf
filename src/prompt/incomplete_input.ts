/**
 * Whether code that does not parse is merely incomplete. V8 reports where
 * parsing failed, not whether more input would have helped, so this looks for
 * brackets, strings, templates and comments that are still open.
 *
 * @module
 */

/** V8's message for `x =` and `if (a)`, which have nothing open. */
const ENDS_EARLY = "Unexpected end of input";

/** Whether more lines could complete `code`, which failed with `message`. */
export function isIncomplete(code: string, message: string): boolean {
  const open = openAtEnd(code);
  if (open === "string" || open === "too_many_closed") return false;
  if (open !== "nothing") return true;
  return message.includes(ENDS_EARLY);
}

type Open =
  | "nothing"
  | "bracket"
  | "template"
  | "comment"
  | "string"
  | "too_many_closed";

const CLOSES: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** What is still open where `code` ends. */
function openAtEnd(code: string): Open {
  // "`" stands for a template, "$" for a `${` inside one.
  const stack: string[] = [];
  /** The last character that was not white space, which decides what "/" means. */
  let last = "";
  for (let i = 0; i < code.length; i++) {
    const char = code[i]!;
    if (stack.at(-1) === "`") {
      if (char === "\\") i++;
      else if (char === "`") stack.pop();
      else if (char === "$" && code[i + 1] === "{") {
        stack.push("$");
        i++;
      }
      last = char;
      continue;
    }
    if (char === "/" && code[i + 1] === "/") {
      const end = code.indexOf("\n", i);
      if (end === -1) break;
      i = end;
    } else if (char === "/" && code[i + 1] === "*") {
      const end = code.indexOf("*/", i + 2);
      if (end === -1) return "comment";
      i = end + 1;
    } else if (char === "/" && beginsRegExp(last)) {
      const end = endOfRegExp(code, i);
      if (end === -1) return "string";
      i = end;
      last = "/";
    } else if (char === '"' || char === "'") {
      const end = endOfString(code, i);
      if (end === -1) return "string";
      i = end;
      last = char;
    } else if (char === "`" || char === "(" || char === "[" || char === "{") {
      stack.push(char);
      last = char;
    } else if (CLOSES[char] !== undefined) {
      const opened = stack.pop();
      if (opened !== CLOSES[char] && !(char === "}" && opened === "$")) {
        return "too_many_closed";
      }
      last = char;
    } else if (!/\s/.test(char)) last = char;
  }
  const top = stack.at(-1);
  if (top === undefined) return "nothing";
  return top === "`" ? "template" : "bracket";
}

/** After an operand "/" divides; elsewhere it begins a regular expression. */
function beginsRegExp(last: string): boolean {
  return !/[\w$)\]}"'`/]/.test(last);
}

function endOfString(code: string, start: number): number {
  for (let i = start + 1; i < code.length; i++) {
    if (code[i] === "\\") i++;
    else if (code[i] === code[start]) return i;
    else if (code[i] === "\n") return -1;
  }
  return -1;
}

function endOfRegExp(code: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < code.length && code[i] !== "\n"; i++) {
    if (code[i] === "\\") i++;
    else if (code[i] === "[") inClass = true;
    else if (code[i] === "]") inClass = false;
    else if (code[i] === "/" && !inClass) return i;
  }
  return -1;
}
