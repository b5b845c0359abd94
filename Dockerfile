# SPDX-License-Identifier: Apache-2.0
# The image has the two programs, the BPF objects, and the shared libraries they name: no shell, no
# package manager, no compiler.
FROM debian:bookworm AS build
WORKDIR /src
COPY deploy/install-deps.sh deploy/
RUN deploy/install-deps.sh build
COPY . .
RUN cmake --preset release && cmake --build --preset release
RUN deploy/image-root.sh build/release /image

FROM scratch
COPY --from=build /image/ /
ENTRYPOINT ["/usr/bin/bonsai-agent"]
CMD ["--config-dir", "/etc/bonsai"]
