import { type ComponentProps, type FormEvent, useEffect, useId, useRef, useState, useTransition } from "react";
import { type CombinedError, useClient } from "urql";
import { DeleteLink, describe, imageTypes, type Link, ReloadLink, UpdateImage, UpdateLink } from "./graphql";

type Props = { link: Link; onSaved: (name: string) => void; onDeleted: (name: string) => void };

const fields = ["name", "url", "description", "alt", "image"];

/** Returns the field of the form that an error of the server is about. */
const fieldOf = ({ extensions: { field } }: CombinedError["graphQLErrors"][number]) =>
  fields.find((name) => Array.isArray(field) && field.at(-1) === name);

export function Editor({ link, onSaved, onDeleted }: Props) {
  const client = useClient();
  const [error, setError] = useState<CombinedError>();
  const [busy, startTransition] = useTransition();
  const [reloads, setReloads] = useState(0);
  const updatedAt = useRef(link.updatedAt);
  const form = useRef<HTMLFormElement>(null);
  const confirmation = useRef<HTMLDialogElement>(null);

  useEffect(() => form.current!.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [error]);

  const save = (event: FormEvent) => {
    event.preventDefault();
    const values = new FormData(form.current!);
    const text = (name: string) => String(values.get(name)).trim() || null;
    const image = values.get("image") as File;
    startTransition(async () => {
      const { data, error } = await client.mutation(UpdateLink, {
        input: {
          id: link.id,
          name: text("name") ?? "",
          url: text("url"),
          description: text("description"),
          image: image.name ? image : undefined,
          expectedUpdatedAt: updatedAt.current,
        },
      });
      const saved = data?.updatePortfolioLink?.portfolioLink;
      if (!saved) return setError(error);
      updatedAt.current = saved.updatedAt;
      if (saved.imageData && saved.imageData.alt !== text("alt")) {
        const { error } = await client.mutation(UpdateImage, { input: { id: saved.imageData.id, alt: text("alt") } });
        if (error) return setError(error);
      }
      onSaved(saved.name);
    });
  };

  const reload = () => startTransition(async () => {
    const { data, error } = await client.query(ReloadLink, { id: link.id }, { requestPolicy: "network-only" });
    setError(error);
    if (!data?.portfolioLink) return;
    updatedAt.current = data.portfolioLink.updatedAt;
    setReloads(reloads + 1);
  });

  const remove = () => startTransition(async () => {
    const { error } = await client.mutation(DeleteLink, { id: link.id });
    if (error) setError(error);
    else onDeleted(link.name);
  });

  const field = (name: string, label: string) => ({
    name, label, error: error?.graphQLErrors.find((error) => fieldOf(error) === name)?.message,
  });
  return (
    <>
      <form key={reloads} ref={form} className="editor" aria-label={link.name} onSubmit={save}>
        <Field {...field("name", "Name")} defaultValue={link.name} autoFocus />
        <Field {...field("url", "URL")} defaultValue={link.url ?? ""} inputMode="url" />
        <Field {...field("description", "Description")} defaultValue={link.description ?? ""} rows={3} />
        <Field {...field("image", "New image")} type="file" accept={imageTypes} />
        <Field {...field("alt", "Alternative text")} defaultValue={link.imageData?.alt ?? ""} />
        {error && !error.graphQLErrors.every(fieldOf) && (
          <p className="error" role="alert">
            {describe(error)}
            {error.graphQLErrors.some(({ extensions: { code } }) => code === "CONFLICT" || code === "NOT_FOUND") && (
              <button type="button" onClick={reload}>Discard my changes and reload</button>
            )}
          </p>
        )}
        <div className="buttons">
          <button className="primary" disabled={busy}>{busy ? "Saving…" : "Save"}</button>
          <button type="button" className="danger" onClick={() => confirmation.current!.showModal()}>Delete</button>
        </div>
      </form>
      <dialog ref={confirmation} aria-label={`Delete ${link.name}`}>
        <form method="dialog">
          <p>Delete <bdi>{link.name}</bdi>? Its image is kept.</p>
          <div className="buttons">
            <button autoFocus>Cancel</button>
            <button className="danger" onClick={remove}>Delete</button>
          </div>
        </form>
      </dialog>
    </>
  );
}

type FieldProps = ComponentProps<"input"> & { label: string; error?: string; rows?: number };

/** A labelled input, or a textarea if it has rows, with the error message beside it. */
function Field({ label, error, rows, ...props }: FieldProps) {
  const id = useId();
  const attributes = { id, dir: "auto", "aria-invalid": error !== undefined, "aria-describedby": `${id}-error` };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {rows
        ? <textarea {...attributes} name={props.name} defaultValue={props.defaultValue} rows={rows} />
        : <input {...attributes} {...props} />}
      <p id={`${id}-error`} className="error">{error}</p>
    </div>
  );
}
