#include "proxy/nft.h"

#include <memory>

#include <nftables/libnftables.h>

#include "base/strings.h"

namespace km::proxy {

Status runNft(const std::string& commands) {
  std::unique_ptr<nft_ctx, void (*)(nft_ctx*)> context(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
  if (context == nullptr) return errors::failed("nftables: out of memory");
  nft_ctx_buffer_error(context.get());
  nft_ctx_buffer_output(context.get());
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return {};
  std::string text(trimSpace(nft_ctx_get_error_buffer(context.get())));
  return errors::failed("nftables: " + text.substr(0, 1000));
}

}  // namespace km::proxy
