/**
 * Data with a custom text for the prompt.
 *
 * @module
 */

/**
 * Makes `data` print as `text` at a prompt and wherever `Deno.inspect` is used;
 * it is otherwise unchanged.
 *
 * ```ts
 * const shares = withPromptText({ dev1: 21, dev2: 43 }, "dev1 21\ndev2 43");
 * console.log(shares); // two lines
 * console.log(shares.dev1 + 1); // 22
 * ```
 */
export function withPromptText<T extends object>(data: T, text: string): T {
  return Object.defineProperty(data, Symbol.for("Deno.customInspect"), {
    value: () => text.trimEnd(),
    configurable: true,
    enumerable: false,
  });
}
