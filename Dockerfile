# "make image" builds this from a binary of deploy/release, so nothing is pulled.
FROM scratch
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="portfolio" \
      org.opencontainers.image.description="Serves portfolios over GraphQL and the legacy REST endpoint" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
COPY dist/portfolio-linux-${TARGETARCH} /portfolio
COPY --chown=65532:65532 dist/root /
# The server writes to /data only. It receives uploads in TMPDIR.
ENV ADDR=0.0.0.0:8000 \
    DATABASE_URL=sqlite:/data/portfolio.db \
    MEDIA_STORE=file:/data/media \
    TMPDIR=/data
USER 65532:65532
VOLUME /data
WORKDIR /data
EXPOSE 8000
# Checks only that the process is alive: a new container brings back no database or disk.
HEALTHCHECK --interval=10s --timeout=6s --start-period=1m CMD ["/portfolio", "healthcheck", "--path=/healthz"]
ENTRYPOINT ["/portfolio"]
CMD ["serve"]
