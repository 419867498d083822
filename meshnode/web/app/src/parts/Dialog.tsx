// A question over the page, by the browser's own modal dialog: focus stays in it, Escape closes it.
// Nothing outside of it is heard or can be pressed meanwhile: what an SOS and a refusal say is here, too.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { taking } from "../focus";
import { AlarmBar } from "./AlarmBar";
import { CloseButton } from "./CloseButton";
import { Toasts } from "./Toasts";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before the next frame: a key pressed in between would go to what lies beneath.
  useLayoutEffect(() => {
    taking(dialog.current!);
    dialog.current!.showModal();
    addEventListener("hashchange", onClose);
    return () => removeEventListener("hashchange", onClose);
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <AlarmBar />
      <header class="dialog-head">
        <h2 id={id}>{title}</h2>
        <CloseButton autofocus onClick={onClose} />
      </header>
      {children}
      <Toasts />
    </dialog>
  );
}
