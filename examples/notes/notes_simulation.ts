/**
 * The notes under faults: clients write, machines lose power, and every
 * acknowledged note must exist in the end.
 *
 * @module
 */
import type { VnodeModule } from "../../mod.ts";
import type { SimulateOptions } from "../../src/simulation/mod.ts";
import type { NotesCommands } from "./notes_vnode.ts";

/** One replica per note and no fallbacks, so that no other vnode compensates for a loss. */
const ALONE = { n: 1, w: 1, quorum: "strict" } as const;

/** What to simulate for `notes`, without the seed. */
export function notesSimulation(
  notes: VnodeModule<NotesCommands>,
): Omit<SimulateOptions, "seed"> {
  return {
    vnode: notes,
    faults: ["kill", "power_loss", "slow_disk"],
    workload: async ({ number, record }) => {
      const note = `note ${number}`;
      await record(
        note,
        { text: "milk" },
        ({ module }) =>
          module(notes).request(
            "notes",
            note,
            "write",
            { note, text: "milk" },
            {
              ...ALONE,
            },
          ),
      );
    },
    check: async ({ history, nodes, eventually }) => {
      const lost: string[] = [];
      for (const { key: note, outcome } of history) {
        if (outcome !== "ok") continue;
        const { replies } = await eventually(
          `Reading ${note}`,
          () =>
            nodes[0]!.module(notes).request("notes", note, "read", { note }, {
              n: 1,
              r: 1,
            }),
        );
        if (replies[0] !== "milk") lost.push(note);
      }
      return lost.map((note) => ({
        check: "acknowledged_notes",
        message: `${note} was acknowledged and is gone`,
        key: note,
      }));
    },
  };
}
