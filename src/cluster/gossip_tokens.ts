/**
 * How many whole rings a node may send: a token bucket (riak_core's
 * `gossip_limit`). Rings are large, and a cluster in which everything changes
 * at once would otherwise send little else.
 *
 * @module
 */

/** Size of the bucket: whole rings that a node may send at once. */
export const GOSSIP_TOKENS_MAX = 45;
/** Time in which an empty bucket is refilled, in milliseconds. */
export const GOSSIP_TOKENS_PERIOD_MS = 10_000;

/** The tokens of one node. */
export interface GossipTokens {
  /** Whole rings that may be sent now, with fractions. */
  left: number;
  /** When `left` was computed. */
  atMs: number;
  /** Whether a ring was held back for lack of a token. */
  starved: boolean;
}

/** A full bucket. */
export function createTokens(nowMs: number): GossipTokens {
  return { left: GOSSIP_TOKENS_MAX, atMs: nowMs, starved: false };
}

/** Takes a token if there is one; `tokens` has one owner and changes in place. */
export function takeToken(tokens: GossipTokens, nowMs: number): boolean {
  const gained = (nowMs - tokens.atMs) * GOSSIP_TOKENS_MAX /
    GOSSIP_TOKENS_PERIOD_MS;
  tokens.left = Math.min(GOSSIP_TOKENS_MAX, tokens.left + gained);
  tokens.atMs = nowMs;
  if (tokens.left < 1) {
    tokens.starved = true;
    return false;
  }
  tokens.left--;
  return true;
}

/** Whether a ring was held back and time has passed since; true once each time. */
export function mayCatchUp(tokens: GossipTokens, nowMs: number): boolean {
  if (!tokens.starved || nowMs <= tokens.atMs) return false;
  tokens.starved = false;
  return true;
}
