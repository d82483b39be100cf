/**
 * Groups that have made no progress for long: an occasional failure is normal,
 * but an operator should know of one that persists.
 *
 * @module
 */

/** Time without a success after which a group is stuck, in milliseconds. */
export const STUCK_AFTER_MS = 30_000;

/** An attempt of the leader of a group. */
export interface FailedAttempt {
  readonly group: string;
  /** The term it leads in: each leader fails on its own. */
  readonly term: number;
  readonly begunMs: number;
  readonly endedMs: number;
}

/** See the module comment. */
export class StuckGroups {
  /** Since when everything has failed, and whether that was reported. */
  readonly #failing = new Map<
    string,
    { readonly term: number; readonly sinceMs: number; readonly told: boolean }
  >();

  /** @returns Whether to report it: once until an attempt succeeds. */
  failed({ group, term, begunMs, endedMs }: FailedAttempt): boolean {
    const before = this.#failing.get(group);
    const { sinceMs, told } = before?.term === term
      ? before
      : { sinceMs: begunMs, told: false };
    const isStuck = endedMs - sinceMs >= STUCK_AFTER_MS;
    this.#failing.set(group, { term, sinceMs, told: told || isStuck });
    return isStuck && !told;
  }

  /** @returns Whether it was reported as stuck. */
  succeeded(group: string): boolean {
    const wasTold = this.#failing.get(group)?.told === true;
    this.#failing.delete(group);
    return wasTold;
  }

  /** Forgets groups that no longer exist. */
  keep(isThere: (group: string) => boolean): void {
    for (const group of this.#failing.keys()) {
      if (!isThere(group)) this.#failing.delete(group);
    }
  }
}
