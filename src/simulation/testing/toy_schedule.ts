/**
 * A schedule that shows the planted bug of the toy cluster: the third node
 * loses power less than 2 ms after it has acknowledged operation 49. Written
 * out, since what a seed draws may change.
 *
 * @module
 */
import type { Schedule } from "../schedule/schedule.ts";

/** It loses the write of operation 49 and no other. */
export const TOY_SCHEDULE: Schedule = {
  seed: "358",
  nodes: 3,
  spares: 0,
  ringSize: 8,
  start: "joining",
  clients: "inside",
  clientCount: 3,
  operations: Array.from({ length: 50 }, (_, number) => number),
  loadMs: 7_369,
  network: {
    delayMsMin: 0.05,
    delayMsMax: 0.1,
    lossProbability: 0.2,
    repeatProbability: 0,
    reorderProbability: 0.05,
  },
  disk: { syncMsMin: 0.2, syncMsMax: 4, liesAboutSync: false },
  faults: [
    { atMs: 2_829, forMs: 1_412, type: "power_loss", node: 2 },
    { atMs: 2_835, forMs: 425, type: "clock_jump", node: 0, byMs: 5_000 },
    { atMs: 5_216, forMs: 4, type: "clock_jump", node: 0, byMs: -86_400_000 },
    { atMs: 5_865, forMs: 378, type: "bit_rot", node: 2 },
    {
      atMs: 6_103,
      forMs: 1_498,
      type: "partition",
      from: [0],
      to: [1, 2],
      oneWay: false,
      break: false,
    },
  ],
  changes: [],
};
