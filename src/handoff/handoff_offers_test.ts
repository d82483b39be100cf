import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import { freshRing } from "../ring/ring_change.ts";
import { HandoffProcess } from "./handoff_process.ts";
import { OFFER_WAIT_MS } from "./inbound_process.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import { offerData } from "./inbound_offer.ts";

const SELF = "a@host";
const SOURCE = "b@host";

/**
 * The handoffs of a node that owns everything and allows one transfer at a
 * time.
 */
class Setting implements Disposable {
  readonly runtime = new ManualRuntime();
  readonly process: HandoffProcess;
  readonly connection = { closed: undefined };

  constructor() {
    const ring = freshRing({
      clusterName: "default",
      size: 8,
      seed: "0123456789abcdef",
      node: {
        name: SELF,
        nodeId: "0123456789abcdef",
        address: SELF,
        incarnation: 1,
      } as never,
      wallMs: 0,
    });
    const unwanted = () =>
      Promise.reject(new WhorlError("not_reachable", "Nobody is there"));
    const world: HandoffWorld = {
      runtime: this.runtime,
      log: silentLog,
      self: SELF,
      modules: ["kv"],
      wallClock: () => this.runtime.now(),
      secretNumber: () => 1,
      ring: () => ring,
      upNodes: () => [SELF, SOURCE],
      held: () => Promise.resolve([]),
      handedOver: () => Promise.resolve([]),
      askVnode: unwanted,
      connect: unwanted,
      transferComplete: () => {},
      drop: () => Promise.resolve(true),
      keep: () => Promise.resolve(),
      takeBack: () => Promise.resolve(),
      call: unwanted,
    };
    this.process = new HandoffProcess(
      world,
      {
        onTransfer() {},
        onRepaired() {},
        onUnrepairable() {},
        onHeldChanged() {},
      },
      () => {},
      1,
    );
  }

  /** Offers a hinted handoff; resolves to whether it may begin. */
  offer(transfer: number): Promise<boolean> {
    const data = offerData({
      transfer,
      kind: "hinted",
      module: "kv",
      sourcePartition: transfer,
      targetPartition: transfer,
      term: 0,
      version: 0,
    });
    return this.process.inbound.begins(this.connection, SOURCE, data).then(
      () => true,
      (error) => {
        assert(error instanceof WhorlError);
        assertEquals(error.code, "handoff_refused");
        return false;
      },
    );
  }

  end(transfer: number): void {
    this.process.inbound.ended(this.connection, transfer);
  }

  get arriving(): number {
    return this.process.status().transfers.length;
  }

  [Symbol.dispose](): void {
    this.process.close();
  }
}

Deno.test("HandoffProcess accepts a waiting transfer as soon as another one ends", async () => {
  using setting = new Setting();
  assertEquals(await setting.offer(1), true);
  const second = setting.offer(2);
  await setting.runtime.advance(OFFER_WAIT_MS / 2);
  setting.end(1);
  assertEquals(await second, true);
});

Deno.test("HandoffProcess refuses a transfer that has waited long enough", async () => {
  using setting = new Setting();
  assertEquals(await setting.offer(1), true);
  const second = setting.offer(2);
  await setting.runtime.advance(OFFER_WAIT_MS);
  assertEquals(await second, false);
});

Deno.test("HandoffProcess keeps no slot for a transfer that was withdrawn while it waited", async () => {
  using setting = new Setting();
  assertEquals(await setting.offer(1), true);
  const second = setting.offer(2);
  await setting.runtime.settle();
  setting.end(2);
  setting.end(1);
  assertEquals(await second, false);
  assertEquals(setting.arriving, 0);
  assertEquals(await setting.offer(3), true);
});
