import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The server makes the URLs of images from the Host header, so it must stay that
// of the page.
const server = { target: process.env.PORTFOLIO_URL ?? "http://127.0.0.1:8000", changeOrigin: false };
const proxy = { "/graphql": server, "/media": server };

export default defineConfig({ plugins: [react()], server: { proxy }, preview: { proxy } });
