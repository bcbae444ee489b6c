import { StrictMode, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { Provider, useQuery } from "urql";
import { Gallery } from "./Gallery";
import { createClient, describe, Portfolios } from "./graphql";
import "./style.css";

function App() {
  const [token, setToken] = useState(sessionStorage.getItem("token") ?? "");
  const [message, setMessage] = useState("");
  const signIn = (token: string, message = "") => {
    sessionStorage.setItem("token", token);
    setToken(token);
    setMessage(message);
  };
  const client = useMemo(() => createClient(token, (message) => signIn("", message)), [token]);
  if (!token) return <SignIn message={message} onSubmit={signIn} />;
  return (
    <Provider value={client}>
      <SignedIn onSignOut={() => signIn("")} />
    </Provider>
  );
}

function SignIn({ message, onSubmit }: { message: string; onSubmit: (token: string) => void }) {
  return (
    <main className="sign-in">
      <form action={(form) => onSubmit(String(form.get("token")).trim())}>
        <h1>Gallery</h1>
        <label htmlFor="token">Token</label>
        <input id="token" name="token" type="password" autoComplete="off" required autoFocus
          aria-invalid={message !== ""} aria-describedby="token-help token-error" />
        <p id="token-help" className="hint">The demo writes one to <code>data/demo-token</code>.</p>
        <p id="token-error" className="error" role="alert">{message}</p>
        <button className="primary">Sign in</button>
      </form>
    </main>
  );
}

function SignedIn({ onSignOut }: { onSignOut: () => void }) {
  const [{ data, error, fetching }] = useQuery({ query: Portfolios });
  const portfolios = data?.portfolios?.nodes ?? [];
  const [selected, setSelected] = useState<string>();
  const portfolio = portfolios.find(({ id }) => id === selected) ?? portfolios[0];
  return (
    <>
      <header>
        <h1>Gallery</h1>
        <select aria-label="Portfolio" value={portfolio?.id} onChange={(event) => setSelected(event.target.value)}>
          {portfolios.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
        </select>
        <button onClick={onSignOut}>Sign out</button>
      </header>
      {error && <p className="error" role="alert">{describe(error)}</p>}
      {!fetching && !error && !portfolio && <p className="empty">There is no portfolio yet.</p>}
      {portfolio && <Gallery key={portfolio.id} portfolioId={portfolio.id} name={portfolio.name} />}
    </>
  );
}

createRoot(document.getElementById("root")!).render(<StrictMode><App /></StrictMode>);
