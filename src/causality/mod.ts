/**
 * What happened before what, as values: for modules that keep versions of their
 * own, as `kv` does.
 *
 * - {@linkcode DvvSet}: concurrent values under one key, which a write replaces as
 *   far as its writer had seen them; riak's `dvvset`.
 * - {@linkcode VectorClock}: riak_core's `vclock`, with pruning.
 * - {@linkcode VersionVector}: the same without timestamps, where nothing is pruned.
 * - {@linkcode HybridTime}: time of day that never goes back.
 *
 * ```ts
 * import {
 *   dvvContext,
 *   dvvSet,
 *   dvvValues,
 *   syncDvv,
 *   updateDvv,
 * } from "@whorl/whorl/causality";
 *
 * const first = updateDvv(dvvSet(["milk"]), "dev1");
 * const seen = dvvContext(first);
 * // Two who have seen the same write at once: both stay.
 * const eggs = updateDvv(dvvSet(["eggs"], seen), "dev1", first);
 * const bread = updateDvv(dvvSet(["bread"], seen), "dev2", first);
 * console.log(dvvValues(syncDvv([eggs, bread]))); // [ "eggs", "bread" ]
 * ```
 *
 * @module
 */
export * from "./dvv_set.ts";
export * from "./hybrid_logical_clock.ts";
export * from "./vector_clock.ts";
export * from "./version_vector.ts";
