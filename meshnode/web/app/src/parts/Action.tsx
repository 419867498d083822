// A button that asks the node for something: busy while it runs, and says what went wrong.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { sentence } from "../api";
import { announce } from "./Toasts";

interface ActionProps {
  run: () => Promise<unknown>;
  children: ComponentChildren;
  done?: string;
  kind?: string;
  label?: string;
  disabled?: boolean;
}

export function Action({ run, children, done, kind = "", label, disabled = false }: ActionProps) {
  const isBusy = useSignal(false);
  const act = async () => {
    if (isBusy.value) return;
    isBusy.value = true;
    try {
      await run();
      if (done) announce(done);
    } catch (thrown) {
      announce(sentence(thrown), "bad");
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <button
      type="button"
      class={kind}
      aria-label={label}
      aria-busy={isBusy.value}
      disabled={disabled}
      // The second click of a double one is not for what stands there by then.
      onClick={(event) => event.detail < 2 && void act()}
    >
      {children}
    </button>
  );
}
