/**
 * `deno task nemesis`: attacks a cluster of real processes and says what came
 * of it. See docs/nemesis.md.
 *
 * @module
 */
import { attackMain } from "./attack_main.ts";
import { KV_STORE } from "./kv_store.ts";

if (import.meta.main) {
  Deno.exit(
    await attackMain(
      KV_STORE,
      "Attacks a cluster of node processes under load, and checks what it promised.",
    ),
  );
}
