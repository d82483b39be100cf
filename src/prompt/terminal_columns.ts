/**
 * The width of this process's terminal.
 *
 * @module
 */

/** Width of the terminal in characters; 80 if it reports 0, as that of `script` does. */
export function terminalColumns(): number {
  return Deno.consoleSize().columns || 80;
}
