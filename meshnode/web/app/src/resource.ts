// One thing that the node knows, as last fetched: what it was, when that was, and what went wrong.
import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { ApiError, UnreachableError } from "./api";

export class Resource<T> {
  readonly value: ReadonlySignal<T | null>;
  /** When it was last fetched, by this browser's clock; 0 before the first time. */
  readonly fetchedMs: Signal<number> = signal(0);
  /** The refusal that stands in the way, or null. */
  readonly refusal: Signal<ApiError | null> = signal(null);
  readonly #value: Signal<T | null> = signal(null);
  #running: Promise<void> | null = null;
  #isWanted = false;
  /** Counts how often it was forgotten: what was asked for before that is not for whoever came after. */
  #forgotten = 0;

  constructor(private readonly fetch: () => Promise<T>) {
    this.value = this.#value;
  }

  /** Fetch it anew; calls while one runs come to one more fetch after it. Never rejects. */
  refresh(): Promise<void> {
    if (this.#running) {
      this.#isWanted = true;
      return this.#running;
    }
    this.#running = this.#run().finally(() => {
      this.#running = null;
      if (this.#isWanted) {
        this.#isWanted = false;
        void this.refresh();
      }
    });
    return this.#running;
  }

  /** Forget it: the session has ended, or the agent's keys are shut. */
  clear(): void {
    this.#forgotten++;
    this.#value.value = null;
    this.fetchedMs.value = 0;
    this.refusal.value = null;
  }

  async #run(): Promise<void> {
    const asked = this.#forgotten;
    try {
      const found = await this.fetch();
      if (asked !== this.#forgotten) return;
      this.#value.value = found;
      this.fetchedMs.value = Date.now();
      this.refusal.value = null;
    } catch (thrown) {
      if (asked !== this.#forgotten) return;
      // A node that does not answer is told of once for all; what was fetched before stays.
      if (thrown instanceof ApiError) this.refusal.value = thrown;
      else if (!(thrown instanceof UnreachableError)) throw thrown;
    }
  }
}
