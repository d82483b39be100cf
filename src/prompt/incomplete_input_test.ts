import { Script } from "node:vm";
import { assertEquals } from "@std/assert";
import { isIncomplete } from "./incomplete_input.ts";

/** What the engine says when `code` does not parse. */
function complaint(code: string): string {
  try {
    new Script(code);
  } catch (error) {
    if (error instanceof SyntaxError) return error.message;
    throw error;
  }
  throw new Error(`parses: ${code}`);
}

Deno.test("isIncomplete() asks for more where something is open", () => {
  for (
    const code of [
      "function f() {",
      "f(1,",
      "f(1",
      "[1, 2",
      "`begun ${",
      "`begun ${1} and",
      "/* a comment",
      "x =",
      "if (a)",
      "({ a: '}' , b: /[}]/ ",
      "f('(') // )\n(",
    ]
  ) assertEquals(isIncomplete(code, complaint(code)), true, code);
});

Deno.test("isIncomplete() does not ask for more where nothing can help", () => {
  for (
    const code of [
      "f(1))",
      "let = 5 5",
      "'begun",
      '"begun\n"',
      "a b",
      "( ]",
      "var x = /begun\n/",
    ]
  ) assertEquals(isIncomplete(code, complaint(code)), false, code);
});
