/**
 * What members say of their transfers, made up for tests.
 *
 * @module
 */
import type { HandoffStatus } from "../../handoff/transfer.ts";
import { fakeHandoff } from "../../node/testing/fake_handoff.ts";
import {
  type ClusterTransfers,
  clusterTransfers,
} from "../cluster_transfers.ts";

const QUIET_RING = { ringSize: 64, transfers: [] };

/** The transfers of a cluster whose members differ from an idle one as `nodes` says. */
export function gathered(
  nodes: Record<string, Partial<HandoffStatus>>,
  ring: Parameters<typeof clusterTransfers>[1] = QUIET_RING,
): ClusterTransfers {
  return clusterTransfers({
    answers: Object.entries(nodes).map(([node, differs]) => ({
      node,
      result: { ...fakeHandoff(node).status(), ...differs },
    })),
    failures: [],
  }, ring);
}
