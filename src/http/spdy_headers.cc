#include <zlib.h>

#include "http/spdy.h"
#include "http/spdy_dictionary.h"

namespace km::http {

namespace {
constexpr size_t kMaxBlock = 256 << 10;

void put32(std::string& out, uint32_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
}

bool take32(std::string_view& in, uint32_t& n) {
  if (in.size() < 4) return false;
  auto* p = reinterpret_cast<const unsigned char*>(in.data());
  n = uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
  in.remove_prefix(4);
  return true;
}

bool takeText(std::string_view& in, std::string_view& text) {
  uint32_t size;
  if (!take32(in, size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}
}  // namespace

SpdyDeflater::SpdyDeflater() : z_(std::make_unique<z_stream>()) {
  deflateInit2(z_.get(), Z_BEST_SPEED, Z_DEFLATED, 11, 4, Z_DEFAULT_STRATEGY);
  deflateSetDictionary(z_.get(), reinterpret_cast<const Bytef*>(spdyDictionary().data()),
                       static_cast<uInt>(spdyDictionary().size()));
}

SpdyDeflater::~SpdyDeflater() {
  deflateEnd(z_.get());
}

void SpdyDeflater::compress(const Headers& headers, std::string& out) {
  // Values of one name go into one field, parted by NUL.
  std::vector<std::pair<std::string_view, std::string>> fields;
  for (Headers::Field f : headers) {
    bool merged = false;
    for (auto& [name, value] : fields) {
      if (name != f.name) continue;
      value.push_back('\0');
      value.append(f.value);
      merged = true;
    }
    if (!merged) fields.emplace_back(f.name, f.value);
  }
  std::string plain;
  put32(plain, static_cast<uint32_t>(fields.size()));
  for (auto& [name, value] : fields) {
    put32(plain, static_cast<uint32_t>(name.size()));
    plain.append(name);
    put32(plain, static_cast<uint32_t>(value.size()));
    plain.append(value);
  }
  z_->next_in = reinterpret_cast<Bytef*>(plain.data());
  z_->avail_in = static_cast<uInt>(plain.size());
  char buffer[4096];
  do {
    z_->next_out = reinterpret_cast<Bytef*>(buffer);
    z_->avail_out = sizeof buffer;
    deflate(z_.get(), Z_SYNC_FLUSH);
    out.append(buffer, sizeof buffer - z_->avail_out);
  } while (z_->avail_out == 0);
}

SpdyInflater::SpdyInflater() : z_(std::make_unique<z_stream>()) {
  inflateInit(z_.get());
}

SpdyInflater::~SpdyInflater() {
  inflateEnd(z_.get());
}

bool SpdyInflater::decompress(std::string_view block, Headers& headers) {
  z_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  z_->avail_in = static_cast<uInt>(block.size());
  std::string plain;
  char buffer[4096];
  while (true) {
    z_->next_out = reinterpret_cast<Bytef*>(buffer);
    z_->avail_out = sizeof buffer;
    int rc = inflate(z_.get(), Z_SYNC_FLUSH);
    if (rc == Z_NEED_DICT) {
      if (inflateSetDictionary(z_.get(), reinterpret_cast<const Bytef*>(spdyDictionary().data()),
                               static_cast<uInt>(spdyDictionary().size())) != Z_OK) {
        return false;
      }
      continue;
    }
    plain.append(buffer, sizeof buffer - z_->avail_out);
    if (plain.size() > kMaxBlock) return false;
    if (rc == Z_BUF_ERROR || (rc == Z_OK && z_->avail_in == 0 && z_->avail_out > 0)) break;
    if (rc != Z_OK) return false;
  }
  std::string_view in = plain;
  uint32_t count;
  if (!take32(in, count)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    std::string_view name, value;
    if (!takeText(in, name) || !takeText(in, value) || name.empty()) return false;
    while (true) {
      size_t nul = value.find('\0');
      headers.add(name, value.substr(0, nul));
      if (nul == std::string_view::npos) break;
      value.remove_prefix(nul + 1);
    }
  }
  return true;
}

}  // namespace km::http
