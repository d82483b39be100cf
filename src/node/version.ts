/**
 * The version of Whorl, here because a module imported by URL cannot read
 * `deno.json`; a test holds the two together.
 *
 * @module
 */

/** Version of this package. */
export const WHORL_VERSION = "0.1.0";
