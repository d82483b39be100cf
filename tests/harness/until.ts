/**
 * Waiting for what can only be asked for.
 *
 * @module
 */

/** How often is asked, in milliseconds. */
const LOOK_MS = 20;

/**
 * Waits until `holds`.
 *
 * @param what What that is, or what is known when the wait ends; for the error.
 * @throws {Error} If it does not within `limitMs`.
 */
export async function until(
  what: string | (() => string),
  holds: () => Promise<boolean>,
  limitMs: number,
): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  while (!await holds()) {
    if (performance.now() > deadlineMs) {
      const text = typeof what === "string" ? what : what();
      throw new Error(`Not in ${limitMs} ms: ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
