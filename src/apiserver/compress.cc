#include "apiserver/compress.h"

#include <zlib.h>

#include <string>

#include "http/headers.h"
#include "http/text.h"

namespace km::apiserver {

bool acceptsGzip(std::string_view acceptEncoding) {
  for (std::string_view one : http::splitList(acceptEncoding)) {
    size_t semicolon = one.find(';');
    std::string_view name = one.substr(0, semicolon);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (name != "gzip") continue;
    std::string_view q = semicolon == std::string_view::npos ? std::string_view() : one.substr(semicolon + 1);
    return q.find("q=0") == std::string_view::npos || q.find("q=0.") != std::string_view::npos;
  }
  return false;
}

http::Body gzip(http::Body body) {
  z_stream z{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) return body;
  std::string out;
  out.resize(deflateBound(&z, body.size()));
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  body.take([&](async::Buffer&& piece) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.view().data()));
    z.avail_in = static_cast<uInt>(piece.size());
    deflate(&z, Z_NO_FLUSH);
  });
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return http::Body(std::move(out));
}

}  // namespace km::apiserver
