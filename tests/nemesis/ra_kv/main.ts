/**
 * `deno task nemesis:ra_kv`: attacks a cluster of `ra_kv` on real processes and
 * says what came of it. See docs/nemesis.md.
 *
 * @module
 */
import { attackMain } from "../attack_main.ts";
import { RA_KV_STORE } from "./ra_kv_store.ts";

if (import.meta.main) {
  Deno.exit(
    await attackMain(
      RA_KV_STORE,
      "Attacks a cluster of ra_kv on node processes under load, and checks whether what its clients saw is linearizable.",
    ),
  );
}
