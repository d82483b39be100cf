/**
 * The width of this process's terminal.
 *
 * @module
 */

/** Width of the terminal in characters; some, such as those of `script`, say 0 when they do not know. */
export function terminalColumns(): number {
  return Deno.consoleSize().columns || 80;
}
