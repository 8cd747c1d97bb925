# The image is the static program and the page's files, on nothing.
#
# The last stage takes its two parts from the stage `build`; any other folder that holds them can stand in for it:
#   buildah bud --build-context build=dist .          as scripts/image.sh does

FROM docker.io/library/rust:1.96-alpine AS tools
RUN apk add --no-cache bash musl-dev nodejs npm
RUN rustup target add wasm32-unknown-unknown
WORKDIR /src
COPY Cargo.lock ./
COPY scripts scripts
COPY end2end/package.json end2end/package-lock.json end2end/
RUN bash -c '. scripts/toolchain.sh leptos'

FROM tools AS compiled
COPY . .
RUN --mount=type=cache,target=/src/target --mount=type=cache,target=/usr/local/cargo/registry \
    scripts/build.sh

FROM scratch AS build
COPY --from=compiled /src/dist /

FROM scratch
COPY --from=build /unidler /unidler
COPY --from=build /site /site
USER 65532:65532
ENV PORT=8080
EXPOSE 8080
ENTRYPOINT ["/unidler"]
