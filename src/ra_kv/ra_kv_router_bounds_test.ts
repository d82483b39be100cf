import { assertEquals } from "@std/assert";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import {
  RA_KV_REQUEST_BYTES_MAX,
  RA_KV_REQUESTS_MAX,
  type RaKvRouter,
} from "./ra_kv_router.ts";
import { WATCHES_MAX } from "./ra_kv_watches.ts";
import {
  get,
  onCluster,
  put,
  watch,
  written,
} from "./testing/routed_operations.ts";

/** Counts outcomes by error code, or as `done`. */
class Outcomes implements OperationTarget {
  readonly counts: Record<string, number> = {};

  operationDone(): void {
    this.#count("done");
  }

  operationFailed({ code }: { readonly code: string }): void {
    this.#count(code);
  }

  /** Submits `operation` to `router` so many times. */
  submit(router: RaKvRouter, operation: ByteWriter, times = 1): void {
    for (let i = 0; i < times; i++) {
      router.submit(operation.bytes, 0, operation.length, this);
    }
  }

  #count(outcome: string): void {
    this.counts[outcome] = (this.counts[outcome] ?? 0) + 1;
  }
}

onCluster(
  "RaKvRouter refuses operations beyond its number, and accepts more once some are answered",
  async (cluster, group) => {
    const { router } = cluster.node("a");
    const outcomes = new Outcomes();
    group.lead(undefined);
    outcomes.submit(router, get("k"), RA_KV_REQUESTS_MAX);
    assertEquals(outcomes.counts, {});
    outcomes.submit(router, get("k"), 2);
    assertEquals(outcomes.counts, { overload: 2 });
    group.lead("a");
    await cluster.runtime.advance(100);
    assertEquals(router.size, 0);
    outcomes.submit(router, get("k"));
    await cluster.runtime.advance(100);
    assertEquals(outcomes.counts, {
      overload: 2,
      done: RA_KV_REQUESTS_MAX + 1,
    });
  },
);

onCluster(
  "RaKvRouter refuses operations beyond its bytes, and accepts more once some are answered",
  async (cluster, group) => {
    const { router } = cluster.node("a");
    const outcomes = new Outcomes();
    const large = put("k", "v".repeat(1024 * 1024));
    const fitting = Math.floor(RA_KV_REQUEST_BYTES_MAX / large.length);
    group.lead(undefined);
    outcomes.submit(router, large, fitting + 1);
    assertEquals(outcomes.counts, { overload: 1 });
    outcomes.submit(router, get("k"));
    assertEquals(outcomes.counts, { overload: 1 });
    group.lead("a");
    await cluster.runtime.advance(100);
    outcomes.submit(router, large, fitting);
    await cluster.runtime.advance(100);
    assertEquals(outcomes.counts, { overload: 1, done: 2 * fitting + 1 });
  },
);

onCluster(
  "RaKvWatches refuses watches beyond its number, and accepts more once some are answered",
  async (cluster) => {
    const { router } = cluster.node("b");
    const outcomes = new Outcomes();
    outcomes.submit(router, watch("k", 0, 0), WATCHES_MAX + 1);
    assertEquals(outcomes.counts, { overload: 1 });
    await written(cluster, "a", put("k", "v"));
    await cluster.runtime.advance(1);
    assertEquals(outcomes.counts, { overload: 1, done: WATCHES_MAX });
    outcomes.submit(router, watch("k", 1, 0));
    assertEquals(router.watches.size, 1);
    router.close();
  },
);
