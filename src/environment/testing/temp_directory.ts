/**
 * A directory of its own for a test.
 *
 * @module
 */

/** Runs `test` with a new directory, and removes it afterwards. */
export async function inTempDirectory(
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "whorl-" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
