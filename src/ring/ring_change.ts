/**
 * The changes that a node may make to its ring. Each returns a new ring whose
 * clock contains one more change by that node, and which that node has seen.
 *
 * @module
 */
import {
  incrementVersion,
  mergeVersions,
  noVersion,
  sameVersion,
  versionDescends,
  type VersionVector,
} from "../causality/version_vector.ts";
import { requireRingSize } from "./chash.ts";
import {
  type ClusterId,
  decisionKey,
  decisionsOf,
  isOutweighed,
  markOfDecision,
  memberDot,
  MemberMeta,
  memberMeta,
  type MemberStatus,
  memberStatus,
  type OwnershipTransfer,
  resizeSteps,
  type Ring,
  type RingMember,
  type RingOwnership,
} from "./ring.ts";
import {
  FIRST_GENERATION,
  resizeAborted,
  resizeBegun,
  resizeInPhase,
  resizeInstalled,
  resizeResumed,
  type RingGenerations,
  type RingOrigin,
  type RingResizePhase,
} from "./ring_generations.ts";
import { originFacts, originsIn } from "./ring_origin.ts";
import { type RingMeta, type RingMetaValue, setMeta } from "./stamped.ts";

/** What a node publishes about itself in the ring. */
export interface NodeFacts {
  readonly name: string;
  /** Where it listens, as `host:port`. */
  readonly address: string;
  /** The identity in its data directory. */
  readonly nodeId: string;
  /**
   * What its version supports, as text. Only set by the node itself.
   *
   * @default {unchanged}
   */
  readonly capabilities?: string;
  /**
   * The ring it comes from; see `ring_origin.ts`. `null` removes an earlier
   * value.
   *
   * @default {unchanged}
   */
  readonly origin?: string | null;
  /**
   * Other rings of which it may hold data, set or removed together with
   * `origin`.
   *
   * @default {none}
   */
  readonly lostOrigins?: string | null;
}

/** The facts of `node` as member metadata. */
function factsOf(
  { address, nodeId, capabilities, origin, lostOrigins = null }: NodeFacts,
): [name: string, value: string | null][] {
  return [
    [MemberMeta.address, address],
    [MemberMeta.nodeId, nodeId],
    ...(capabilities === undefined
      ? []
      : [[MemberMeta.capabilities, capabilities] as [string, string]]),
    ...(origin === undefined ? [] : [
      [MemberMeta.origin, origin] as [string, string | null],
      [MemberMeta.lostOrigins, lostOrigins] as [string, string | null],
    ]),
  ];
}

/**
 * A ring in which one node owns everything and is the claimant.
 *
 * @param seed 16 lowercase hex digits that no other cluster uses.
 * @throws {WhorlError} `invalid_ring_size`.
 */
export function freshRing(
  options: {
    clusterName: string;
    size: number;
    seed: string;
    node: NodeFacts;
    wallMs: number;
    /** The numbering of its vnodes. @default {by their partitions} */
    generations?: RingGenerations;
  },
): Ring {
  const { clusterName, size, seed, node, wallMs } = options;
  const { generations = FIRST_GENERATION } = options;
  requireRingSize(size);
  const clusterId: ClusterId = { claimant: node.name, seed };
  const empty: Ring = {
    clusterName,
    clusterId,
    size,
    clock: noVersion,
    members: new Map(),
    ownership: {
      term: 1,
      version: 1,
      claimant: node.name,
      owners: new Array<string>(size).fill(node.name),
      next: [],
      staged: [],
      committedPlan: "",
      generations,
    },
    progress: new Map(),
    seen: new Map(),
    meta: new Map(),
  };
  return putFacts(
    setStatus(empty, node.name, node.name, "valid"),
    node,
    wallMs,
  );
}

/**
 * `ring`, with the clock of `actor` raised to at least `count`: a node that
 * returns to a cluster must not reuse change numbers that this ring has not
 * heard of.
 */
export function outgrow(ring: Ring, actor: string, count: number): Ring {
  if ((ring.clock.get(actor) ?? 0) >= count) return ring;
  return { ...ring, clock: new Map(ring.clock).set(actor, count) };
}

/** `ring` with `changes`, made by `actor`. */
function change(ring: Ring, actor: string, changes: Partial<Ring>): Ring {
  const clock = incrementVersion(ring.clock, actor);
  return {
    ...ring,
    ...changes,
    clock,
    seen: new Map(ring.seen).set(actor, clock),
  };
}

/**
 * `node` becomes a member with `status`, or changes to it, superseding what was
 * known of its status.
 */
export function setStatus(
  ring: Ring,
  actor: string,
  node: string,
  status: MemberStatus,
  options: { autoJoin?: boolean } = {},
): Ring {
  const member = ring.members.get(node);
  // The number of the change in the ring, never used by the actor before.
  const counter = (ring.clock.get(actor) ?? 0) + 1;
  const clock = new Map(member?.clock).set(actor, counter);
  const dot = {
    actor,
    counter,
    status,
    autoJoin: options.autoJoin ?? false,
  };
  return change(ring, actor, {
    members: new Map(ring.members).set(node, {
      clock,
      dots: [dot],
      meta: member?.meta ?? new Map(),
    }),
  });
}

/**
 * The member `node.name` publishes its facts; returns the same ring if nothing
 * is new.
 */
export function putFacts(ring: Ring, node: NodeFacts, wallMs: number): Ring {
  const member = ring.members.get(node.name);
  if (member === undefined) return ring;
  let meta: RingMeta = member.meta;
  for (const [name, value] of factsOf(node)) {
    if (memberMeta(ring, node.name, name) !== value) {
      meta = setMeta(meta, name, value, node.name, wallMs);
    }
  }
  if (meta === member.meta) return ring;
  return change(ring, node.name, {
    members: new Map(ring.members).set(node.name, { ...member, meta }),
  });
}

/**
 * `actor` has found that `node` now runs an older version, which does not by
 * itself remove the capabilities that a newer one published. Returns the same
 * ring if it has none.
 */
export function withdrawCapabilities(
  ring: Ring,
  actor: string,
  node: string,
  wallMs: number,
): Ring {
  const member = ring.members.get(node);
  const name = MemberMeta.capabilities;
  if (member === undefined || memberMeta(ring, node, name) === null) {
    return ring;
  }
  const meta = setMeta(member.meta, name, null, actor, wallMs);
  return change(ring, actor, {
    members: new Map(ring.members).set(node, { ...member, meta }),
  });
}

/**
 * `node` publishes of which other rings it may hold data, first the one it
 * comes from; it holds nothing of others any more. Returns the same ring if
 * nothing is new.
 */
export function setOrigins(
  ring: Ring,
  node: string,
  origins: readonly RingOrigin[],
  wallMs: number,
): Ring {
  const member = ring.members.get(node);
  if (member === undefined) return ring;
  const { origin, lostOrigins } = originFacts(origins);
  let { meta } = member;
  for (
    const [name, value] of [
      [MemberMeta.origin, origin],
      [MemberMeta.lostOrigins, lostOrigins],
    ] as const
  ) {
    if (memberMeta(ring, node, name) !== value) {
      meta = setMeta(meta, name, value, node, wallMs);
    }
  }
  return meta === member.meta ? ring : change(ring, node, {
    members: new Map(ring.members).set(node, { ...member, meta }),
  });
}

/**
 * `node` takes the cluster's ring and is joining in it; with `autoJoin` it
 * needs no commit.
 */
export function addJoining(
  ring: Ring,
  node: NodeFacts,
  wallMs: number,
  options: { autoJoin?: boolean } = {},
): Ring {
  return putFacts(
    setStatus(ring, node.name, node.name, "joining", options),
    node,
    wallMs,
  );
}

/**
 * `actor`, the claimant, invites `node`: it is joining in the ring, but not by
 * its own word, and counts in no plan until it confirms.
 */
export function invite(
  ring: Ring,
  actor: string,
  node: NodeFacts,
  wallMs: number,
): Ring {
  const invited = setStatus(ring, actor, node.name, "joining");
  const member = invited.members.get(node.name) as RingMember;
  let { meta } = member;
  for (const [name, value] of factsOf(node)) {
    if (memberMeta(invited, node.name, name) !== value) {
      meta = setMeta(meta, name, value, actor, wallMs);
    }
  }
  return {
    ...invited,
    members: new Map(invited.members).set(node.name, { ...member, meta }),
  };
}

/**
 * An invited node, which uses this ring, confirms that it is joining, with the
 * `autoJoin` it had before if any.
 */
export function confirmJoining(ring: Ring, node: string): Ring {
  const dots = ring.members.get(node)?.dots ?? [];
  const autoJoin = dots.some((dot) => dot.actor === node && dot.autoJoin);
  return setStatus(ring, node, node, "joining", { autoJoin });
}

/** Whether `node` was invited and is not known to have accepted. */
export function isInvited(ring: Ring, node: string): boolean {
  const dots = ring.members.get(node)?.dots ?? [];
  return memberStatus(ring, node) === "joining" &&
    dots.some((dot) => dot.status === "joining" && dot.actor !== node);
}

/**
 * A member that was declared down while alive, or came back, asks to be
 * admitted again.
 */
export function rejoin(ring: Ring, node: string): Ring {
  return setStatus(ring, node, node, "joining", { autoJoin: true });
}

/**
 * Whether `node` is joining without needing a commit: it was a member before,
 * or joins automatically.
 */
export function isAutoJoining(ring: Ring, node: string): boolean {
  const dot = memberDot(ring, node);
  return dot?.status === "joining" && dot.autoJoin;
}

/** The claimant writes a new version of the ownership. */
export function setOwnership(
  ring: Ring,
  actor: string,
  changes: Partial<Omit<RingOwnership, "term" | "version" | "claimant">>,
): Ring {
  const before = ring.ownership;
  const ownership = { ...before, ...changes, version: before.version + 1 };
  return change(ring, actor, { size: ownership.owners.length, ownership });
}

/**
 * The claimant stages a size for the ring, or with 0 the abort of the resize in
 * progress; `null` clears that.
 */
export function stageSize(
  ring: Ring,
  actor: string,
  staged: number | null,
): Ring {
  const { generations } = ring.ownership;
  return setOwnership(ring, actor, {
    generations: { ...generations, staged },
  });
}

/** The claimant begins a resize to partitions owned by `owners`. */
export function beginResize(
  ring: Ring,
  actor: string,
  owners: readonly string[],
): Ring {
  const { term, version, generations } = ring.ownership;
  return setOwnership(ring, actor, {
    generations: resizeBegun(
      generations,
      ring.size,
      owners,
      term,
      version + 1,
      originsIn(ring),
    ),
  });
}

/**
 * The claimant continues a resize to the ring of `generation`, known to another
 * part of the cluster.
 */
export function resumeResize(
  ring: Ring,
  actor: string,
  generation: number,
  owners: readonly string[],
): Ring {
  const { term, version, generations } = ring.ownership;
  return setOwnership(ring, actor, {
    generations: resizeResumed(
      generations,
      ring.size,
      { generation },
      owners,
      term,
      version + 1,
    ),
  });
}

/**
 * The claimant moves the resize in progress to another phase, for which owners
 * report anew.
 */
export function enterResizePhase(
  ring: Ring,
  actor: string,
  phase: RingResizePhase,
): Ring {
  const { term, version, generations } = ring.ownership;
  return generations.resize === null ? ring : setOwnership(ring, actor, {
    generations: resizeInPhase(generations, phase, term, version + 1),
  });
}

/** The claimant aborts the resize in progress. */
export function abortResize(ring: Ring, actor: string): Ring {
  return setOwnership(ring, actor, {
    generations: resizeAborted(ring.ownership.generations),
  });
}

/**
 * The claimant completes the resize in progress: its owners are the owners of
 * the ring from now on.
 */
export function installResize(ring: Ring, actor: string): Ring {
  const { generations } = ring.ownership;
  const { resize } = generations;
  return resize === null ? ring : setOwnership(ring, actor, {
    owners: resize.owners,
    next: [],
    generations: resizeInstalled(generations),
  });
}

/**
 * `actor` takes over from a claimant that is gone. Owners, transfers and staged
 * changes stay.
 */
export function takeOverClaim(ring: Ring, actor: string): Ring {
  const before = ring.ownership;
  return change(ring, actor, {
    ownership: {
      ...before,
      term: before.term + 1,
      version: before.version + 1,
      claimant: actor,
    },
  });
}

/**
 * The transfers from the current owners to `target`. A pending transfer to the
 * same node stays as it is, so its progress is kept.
 */
export function transfersTowards(
  ring: Ring,
  target: readonly string[],
): OwnershipTransfer[] {
  const { owners, next, term, version } = ring.ownership;
  const pending = new Map(
    next.map((transfer) => [transfer.partition, transfer]),
  );
  const transfers: OwnershipTransfer[] = [];
  for (let partition = 0; partition < ring.size; partition++) {
    const owner = owners[partition] as string;
    const nextOwner = target[partition] as string;
    if (owner === nextOwner) continue;
    const already = pending.get(partition);
    transfers.push(
      already?.nextOwner === nextOwner && already.owner === owner
        ? already
        : { partition, owner, nextOwner, term, version: version + 1 },
    );
  }
  return transfers;
}

/**
 * `actor` reports that the data of `module` (or with `null`, all data) has
 * moved for each of `partitions` it owns; `registered` are the modules of its
 * vnodes. Returns the same ring if nothing is new.
 *
 * @param by The ring by which it was moved: what `ring` has decided otherwise
 * since is not reported.
 */
export function completeTransfers(
  ring: Ring,
  actor: string,
  partitions: readonly number[],
  module: string | null,
  registered: readonly string[],
  by: Ring = ring,
): Ring {
  const progress = new Map(ring.progress);
  const decided = by.ownership === ring.ownership
    ? null
    : new Set(decisionsOf(by).map((each) => decisionKey(by, each)));
  let changed = false;
  for (const transfer of decisionsOf(ring)) {
    if (transfer.owner !== actor || !partitions.includes(transfer.partition)) {
      continue;
    }
    if (decided?.has(decisionKey(ring, transfer)) === false) continue;
    const { term, version } = transfer;
    const before = progress.get(transfer.partition);
    // The claimant has to decide it anew first. With another decision of the same
    // term and version it has to as well, unless its version knows no marks: that
    // one waits for this report.
    if (
      before !== undefined &&
      (before.term - term || before.version - version) > 0
    ) continue;
    const current = before?.term === term && before.version === version
      ? before
      : undefined;
    const mark = markOfDecision(ring, transfer);
    const modules = new Set(current?.completedModules);
    for (const name of module === null ? registered : [module]) {
      modules.add(name);
    }
    const complete = (current?.complete ?? false) ||
      registered.every((name) => modules.has(name));
    if (
      current !== undefined && current.complete === complete &&
      current.completedModules.length === modules.size &&
      (current.decisions.length === 0 || current.decisions.includes(mark))
    ) continue;
    progress.set(transfer.partition, {
      term,
      version,
      decisions: [...new Set(current?.decisions).add(mark)].sort(),
      completedModules: [...modules].sort(),
      complete,
    });
    changed = true;
  }
  return changed ? change(ring, actor, { progress }) : ring;
}

/**
 * The claimant decides transfers anew of which nothing can be reported any more
 * (`isOutweighed`), or the phase `copying` of a resize. The phase `binding` is
 * given up in time, and the others need no reports. Returns the same ring if
 * there are none.
 */
export function decideAnew(ring: Ring, actor: string): Ring {
  const { next, term, version, generations: { resize } } = ring.ownership;
  if (resize?.phase === "copying") {
    return resizeSteps(ring).some((step) => isOutweighed(ring, step))
      ? enterResizePhase(ring, actor, "copying")
      : ring;
  }
  return next.some((transfer) => isOutweighed(ring, transfer))
    ? setOwnership(ring, actor, {
      next: next.map((transfer) =>
        isOutweighed(ring, transfer)
          ? { ...transfer, term, version: version + 1 }
          : transfer
      ),
    })
    : ring;
}

/** `actor` sets a value of the ring's metadata; `null` removes it. */
export function putRingMeta(
  ring: Ring,
  actor: string,
  name: string,
  value: RingMetaValue,
  wallMs: number,
): Ring {
  return change(ring, actor, {
    meta: setMeta(ring.meta, name, value, actor, wallMs),
  });
}

/**
 * `node` is known to have seen `version`; not a change of the ring, so its
 * clock stays.
 */
export function markSeen(
  ring: Ring,
  node: string,
  version: VersionVector,
): Ring {
  const before = ring.seen.get(node) ?? noVersion;
  if (sameVersion(before, version) || versionDescends(before, version)) {
    return ring;
  }
  return {
    ...ring,
    seen: new Map(ring.seen).set(node, mergeVersions(before, version)),
  };
}
