// The kernel's nftables through libnftables.
#pragma once

#include <string>

#include "base/status.h"

namespace km::proxy {

// Runs commands as one transaction, in the network namespace of the calling thread. The error carries nft's words.
Status runNft(const std::string& commands);

}  // namespace km::proxy
