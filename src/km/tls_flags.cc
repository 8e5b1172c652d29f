#include "km/tls_flags.h"

#include "base/flags.h"

namespace km {

void TlsFlags::addTo(FlagSet& flags) {
  flags.add(&minVersion, "tls-min-version", "Minimum TLS `version` supported: VersionTLS12 or VersionTLS13.");
  flags.add(&cipherSuites, "tls-cipher-suites", "List of cipher `suites` for the server. TLS 1.3 has its own.");
  flags.add(&disableHttp2, "disable-http2-serving", "If true, HTTP2 serving will be disabled.");
}

void TlsFlags::applyTo(async::TlsServerOptions& tls) const {
  tls.minVersion = minVersion;
  tls.cipherSuites = cipherSuites;
  if (disableHttp2) tls.alpn = {"http/1.1"};
}

}  // namespace km
