/**
 * Whether there is util-linux's `script`, by which tests run a program in a
 * terminal of its own.
 *
 * @module
 */

/** Whether `script` can be run here. */
export async function hasScript(): Promise<boolean> {
  try {
    const { stdout } = await new Deno.Command("script", {
      args: ["--version"],
    }).output();
    return new TextDecoder().decode(stdout).includes("util-linux");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
