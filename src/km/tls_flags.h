// What upstream's secure ports may be told of TLS: --tls-min-version, --tls-cipher-suites, --disable-http2-serving.
#pragma once

#include <string>
#include <vector>

#include "async/tls.h"

namespace km {

class FlagSet;

struct TlsFlags {
  std::string minVersion;
  std::vector<std::string> cipherSuites;
  bool disableHttp2 = false;

  void addTo(FlagSet& flags);
  void applyTo(async::TlsServerOptions& tls) const;
};

}  // namespace km
