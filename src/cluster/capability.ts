/**
 * Capabilities: what all versions of Whorl and of an application that run in
 * one cluster support. Each member publishes in its metadata which modes of
 * which capabilities it supports; from the ring alone, every node computes the
 * most preferred mode that all current members support. After
 * `riak_core_capability`.
 *
 *     member metadata ─┐
 *     overrides ───────┼─► negotiate ─► mode of each capability ─► changes
 *     registrations ───┘
 *
 * A member without an entry runs a version older than capabilities and has the
 * _legacy_ mode; one whose entry lacks a capability has the _default_ mode.
 * Both are among the modes that this node supports, so it always supports the
 * negotiated mode. A node that is only invited does not count yet, nor does a
 * removed member.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import {
  currentMembers,
  MemberMeta,
  memberMeta,
  type Ring,
} from "../ring/ring.ts";
import { isInvited } from "../ring/ring_change.ts";
import type { RingMetaValue } from "../ring/stamped.ts";

/** Most capabilities of a node, Whorl's own included. */
export const CAPABILITIES_MAX = 64;
/** Most modes of a capability. */
export const CAPABILITY_MODES_MAX = 16;
/** Longest text that lists what a member supports, in characters: the limit of a member metadata value. */
export const CLAIM_LENGTH_MAX = 4_096;

/** A capability that an application registers. */
export interface CapabilityOptions {
  /** Such as `shop.cart_format`: lowercase letters, digits and `_`, with a dot in it; names without belong to Whorl. */
  readonly name: string;
  /** Modes that this node supports, preferred one first: 1 to 16, each of 1 to 32 letters, digits, `_`, `.` or `-`. */
  readonly supported: readonly string[];
  /**
   * The mode of members that do not know the capability; also used when no mode
   * is common to all. @default {the last one supported}
   */
  readonly default?: string;
  /** The mode of members that run a Whorl older than capabilities. @default {the default mode} */
  readonly legacy?: string;
}

/** {@linkcode CapabilityOptions} with defaults filled in. */
export interface Capability {
  /** Its name. */
  readonly name: string;
  /** Modes that this node supports, preferred one first. */
  readonly supported: readonly string[];
  /** The mode of members that do not know it. */
  readonly default: string;
  /** The mode of members older than capabilities. */
  readonly legacy: string;
}

/** An operator's override of a capability. */
export interface CapabilityOverride {
  /** The mode to use, whatever the others support. Takes precedence over `prefer`. */
  readonly use?: string;
  /** The mode to use as soon as all members support it, before more preferred ones. */
  readonly prefer?: string;
}

/** Overrides by the names of their capabilities. */
export type CapabilityOverrides = Readonly<Record<string, CapabilityOverride>>;

/** The mode of a capability, and why it was chosen. */
export interface NegotiatedMode {
  /** The mode. */
  readonly mode: string;
  /**
   * - `negotiated`: the most preferred one common to all;
   * - `preferred` and `used`: an operator's override;
   * - `default`: nothing is common to all.
   */
  readonly by: "negotiated" | "preferred" | "used" | "default";
}

/** A mode has changed. */
export interface CapabilityChange {
  /** The kind of event. */
  readonly type: "capability_changed";
  /** Name of the capability. */
  readonly capability: string;
  /** The mode until now. */
  readonly before: string;
  /** The mode from now on. */
  readonly mode: string;
}

/** Moves the data of partitions over bulk connections; see `src/handoff/`. */
export const HANDOFF: Capability = {
  name: "handoff",
  supported: ["v1", "none"],
  default: "none",
  legacy: "none",
};
/**
 * Supports staged leaving, removal and replacement, and as the claimant stages
 * them for others; with `v2` it reads plans that name the joins they leave out.
 */
export const MEMBERSHIP: Capability = {
  name: "membership",
  supported: ["v2", "v1", "none"],
  default: "none",
  legacy: "none",
};
/**
 * Reads rings that are being resized, and spreads its data over the partitions
 * of another ring size; `v2` adds the phases of a resize, and may begin one;
 * `v3` also reads rings whose resize is not to their newest generation.
 */
export const RESIZE: Capability = {
  name: "resize",
  supported: ["v3", "v2", "v1", "none"],
  default: "none",
  legacy: "none",
};
/**
 * Runs members of ensembles, which serve consistent buckets; a node without a
 * data directory does not. With `v2` ensembles follow a resize of the ring.
 */
export const CONSISTENT_BUCKETS: Capability = {
  name: "consistent_buckets",
  supported: ["v2", "v1", "none"],
  default: "none",
  legacy: "none",
};
/** What every node of this version supports. */
export const WHORL_CAPABILITIES: readonly Capability[] = [
  HANDOFF,
  MEMBERSHIP,
  RESIZE,
  CONSISTENT_BUCKETS,
];

/** What a member supports, by capability. */
export type Claim = ReadonlyMap<string, readonly string[]>;

const NAME = /^[a-z][a-z0-9_]{0,31}(\.[a-z0-9_]{1,32}){0,3}$/;
const MODE = /^[A-Za-z0-9_.-]{1,32}$/;

/**
 * Whorl's own capabilities and those of an application.
 *
 * @throws {WhorlError} `invalid_config` naming the capability and the rule.
 */
export function resolveCapabilities(
  registered: readonly CapabilityOptions[],
): Capability[] {
  const all = [...WHORL_CAPABILITIES];
  for (const options of registered) {
    const { name, supported } = options;
    const last = supported.at(-1) ?? "";
    const fallback = options.default ?? last;
    const legacy = options.legacy ?? fallback;
    require(name, NAME.test(name) && name.includes("."), {
      rule: "have lowercase letters, digits and '_' in its name, and a dot",
    });
    require(name, !all.some((other) => other.name === name), {
      rule: "be registered once",
    });
    require(
      name,
      supported.length >= 1 && supported.length <= CAPABILITY_MODES_MAX &&
        new Set(supported).size === supported.length &&
        supported.every((mode) => MODE.test(mode)),
      {
        rule:
          `support 1 to ${CAPABILITY_MODES_MAX} different modes of letters, digits, '_', '.' or '-'`,
      },
    );
    require(
      name,
      supported.includes(fallback) && supported.includes(legacy),
      { rule: "support its default and its legacy mode" },
    );
    all.push({ name, supported: [...supported], default: fallback, legacy });
  }
  if (
    all.length > CAPABILITIES_MAX || encodeClaim(all).length > CLAIM_LENGTH_MAX
  ) {
    throw new WhorlError(
      "invalid_config",
      `Cannot start a node as it may have ${CAPABILITIES_MAX} capabilities, in ${CLAIM_LENGTH_MAX} characters: it has ${all.length}`,
    );
  }
  return all;
}

function require(
  name: string,
  holds: boolean,
  { rule }: { rule: string },
): void {
  if (holds) return;
  throw new WhorlError(
    "invalid_config",
    `Cannot start a node as the capability '${name}' must ${rule}`,
    { details: { capability: name } },
  );
}

/** The metadata text for `capabilities`; canonical. */
export function encodeClaim(capabilities: readonly Capability[]): string {
  return capabilities.map(({ name, supported }) =>
    `${name}=${supported.join(",")}`
  ).sort(compareTexts).join(" ");
}

/** The metadata text for Whorl's own capabilities. */
export const WHORL_CLAIM: string = encodeClaim(WHORL_CAPABILITIES);

/** Cache of decoded claims: members of one version all have the same text, which is read with each ring. */
const lastClaims = new Map<string, Claim>();
const LAST_CLAIMS_MAX = 64;

/**
 * Decodes what a member supports, or `null` if it has no entry. Parts that
 * cannot be read, from a newer version, are skipped.
 */
export function decodeClaim(value: RingMetaValue): Claim | null {
  if (typeof value !== "string") return null;
  const known = lastClaims.get(value);
  if (known !== undefined) return known;
  const claim = new Map<string, readonly string[]>();
  for (const part of value.split(" ")) {
    const at = part.indexOf("=");
    const name = part.slice(0, Math.max(0, at));
    const modes = part.slice(at + 1).split(",");
    if (
      claim.size < CAPABILITIES_MAX && NAME.test(name) && !claim.has(name) &&
      modes.length <= CAPABILITY_MODES_MAX &&
      modes.every((mode) => MODE.test(mode))
    ) claim.set(name, modes);
  }
  if (lastClaims.size >= LAST_CLAIMS_MAX) lastClaims.clear();
  lastClaims.set(value, claim);
  return claim;
}

/** What `node` supports according to `ring`, or `null`. */
export function claimOf(ring: Ring, node: string): Claim | null {
  return decodeClaim(memberMeta(ring, node, MemberMeta.capabilities));
}

/** The members that count in negotiation: all but those that are only invited, sorted. */
export function negotiators(ring: Ring): readonly string[] {
  return currentMembers(ring).filter((node) => !isInvited(ring, node));
}

/** The modes of a capability that a member with `claim` supports. */
export function modesOf(
  claim: Claim | null,
  capability: Capability,
): readonly string[] {
  if (claim === null) return [capability.legacy];
  return claim.get(capability.name) ?? [capability.default];
}

/** Whether `node` supports `mode`, whatever is negotiated. */
export function supports(
  ring: Ring,
  node: string,
  capability: Capability,
  mode: string,
): boolean {
  return modesOf(claimOf(ring, node), capability).includes(mode);
}

/** Members that do not support `mode`, sorted. */
export function membersWithout(
  ring: Ring,
  capability: Capability,
  mode: string,
): string[] {
  return negotiators(ring)
    .filter((node) => !supports(ring, node, capability, mode));
}

/**
 * The mode of `capability` in the cluster of `ring`: the same on all members if
 * they have the same overrides. If versions order the modes differently, the
 * order of the one with the most modes counts.
 */
export function negotiate(
  ring: Ring,
  capability: Capability,
  override: CapabilityOverride = {},
): NegotiatedMode {
  const { supported } = capability;
  // An override with a mode that this node does not support is ignored.
  const { use, prefer } = override;
  if (use !== undefined && supported.includes(use)) {
    return { mode: use, by: "used" };
  }
  const lists = negotiators(ring).map((node) =>
    modesOf(claimOf(ring, node), capability)
  );
  const common = (mode: string): boolean =>
    supported.includes(mode) && lists.every((modes) => modes.includes(mode));
  if (prefer !== undefined && common(prefer)) {
    return { mode: prefer, by: "preferred" };
  }
  const order = lists.reduce(
    (best, modes) => compareLists(best, modes) <= 0 ? best : modes,
    supported,
  );
  const mode = order.find(common);
  return mode === undefined
    ? { mode: capability.default, by: "default" }
    : { mode, by: "negotiated" };
}

/** Longer lists first; ties are broken the same way on all nodes. */
function compareLists(a: readonly string[], b: readonly string[]): number {
  return b.length - a.length || compareTexts(a.join(), b.join());
}

// Overrides.

/** Name of the ring's metadata that overrides a capability in the whole cluster. */
export function overrideMetaName(capability: string): string {
  return `capability.${capability}`;
}

/** An override as a value of the ring's metadata; `null` for none. */
export function encodeOverride(
  { use, prefer }: CapabilityOverride,
): RingMetaValue {
  const parts = [
    ...(use === undefined ? [] : [`use=${use}`]),
    ...(prefer === undefined ? [] : [`prefer=${prefer}`]),
  ];
  return parts.length === 0 ? null : parts.join(" ");
}

/** Decodes what {@linkcode encodeOverride} made; unreadable parts are ignored. */
export function decodeOverride(value: RingMetaValue): CapabilityOverride {
  if (typeof value !== "string") return {};
  const override: { use?: string; prefer?: string } = {};
  for (const part of value.split(" ")) {
    const [key, mode = ""] = part.split("=", 2);
    if (MODE.test(mode) && (key === "use" || key === "prefer")) {
      override[key] = mode;
    }
  }
  return override;
}

/**
 * Validates an override of `capability`.
 *
 * @throws {WhorlError} `invalid_argument` if this node does not support the
 * mode.
 */
export function checkOverride(
  capability: Capability,
  { use, prefer }: CapabilityOverride,
): void {
  for (const mode of [use, prefer]) {
    if (mode === undefined || capability.supported.includes(mode)) continue;
    throw new WhorlError(
      "invalid_argument",
      `Cannot override ${capability.name} as its mode must be one of ${
        capability.supported.join(", ")
      }: it is ${mode}`,
      { details: { capability: capability.name, mode } },
    );
  }
}

// The state of one node.

/** The capabilities of one node. */
export interface CapabilityState {
  /** What it supports. */
  readonly registered: readonly Capability[];
  /** Overrides of this node, which take precedence over those of the cluster. */
  readonly overrides: CapabilityOverrides;
  /** Present modes, by capability. */
  modes: ReadonlyMap<string, NegotiatedMode>;
  /** The ring, or one that says the same of it, that these come from. */
  from: Pick<Ring, "members" | "meta"> | undefined;
}

/** The capabilities of a node whose current ring is `ring`. */
export function createCapabilities(
  registered: readonly Capability[],
  overrides: CapabilityOverrides,
  ring: Ring,
): CapabilityState {
  const state: CapabilityState = {
    registered,
    overrides,
    modes: new Map(),
    from: undefined,
  };
  stepCapabilities(state, ring);
  return state;
}

/** The override of a capability that is in effect on a node. */
export function overrideOf(
  { overrides }: CapabilityState,
  ring: Ring,
  name: string,
): CapabilityOverride {
  return Object.hasOwn(overrides, name)
    ? overrides[name] as CapabilityOverride
    : decodeOverride(ring.meta.get(overrideMetaName(name))?.value ?? null);
}

/** The node's current ring is `ring` now; `state` has one owner and changes in place. */
export function stepCapabilities(
  state: CapabilityState,
  ring: Ring,
): CapabilityChange[] {
  const { from, modes: before } = state;
  // Most changes of a ring are of who has seen it.
  if (from?.members === ring.members && from.meta === ring.meta) return [];
  state.from = { members: ring.members, meta: ring.meta };
  const modes = new Map(
    state.registered.map((capability) => {
      const { name } = capability;
      return [name, negotiate(ring, capability, overrideOf(state, ring, name))];
    }),
  );
  state.modes = modes;
  const changes: CapabilityChange[] = [];
  for (const [capability, { mode }] of modes) {
    const last = before.get(capability)?.mode;
    if (last === undefined || last === mode) continue;
    changes.push({
      type: "capability_changed",
      capability,
      before: last,
      mode,
    });
  }
  return changes;
}

/** A capability as one node sees it. */
export interface CapabilityStatus extends Capability, NegotiatedMode {
  /** The override in effect. */
  readonly override: CapabilityOverride;
  /** Members that do not support the most preferred mode, sorted. */
  readonly lacking: readonly string[];
  /** What each member supports; `null` for one older than capabilities. Sorted by name. */
  readonly members: readonly {
    /** The member. */
    readonly node: string;
    /** Its modes, preferred one first. */
    readonly modes: readonly string[] | null;
  }[];
}

/** All capabilities of a node, sorted by name. */
export function capabilityStatuses(
  state: CapabilityState,
  ring: Ring,
): CapabilityStatus[] {
  const claims = negotiators(ring).map((node) => ({
    node,
    claim: claimOf(ring, node),
  }));
  return state.registered.map((capability): CapabilityStatus => {
    const { name, supported } = capability;
    return {
      ...capability,
      ...state.modes.get(name) as NegotiatedMode,
      override: overrideOf(state, ring, name),
      lacking: membersWithout(ring, capability, supported[0] as string),
      members: claims.map(({ node, claim }) => ({
        node,
        modes: claim === null ? null : modesOf(claim, capability),
      })),
    };
  }).sort((a, b) => compareTexts(a.name, b.name));
}
