#include "dns/packet.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace km::dns {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kOptRecord = 11;
constexpr uint16_t kOurUdpSize = 1232;  // fits every path without fragments

uint16_t get16(std::string_view p, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(p[at]) << 8 | static_cast<uint8_t>(p[at + 1]));
}
void put16(std::string& out, uint16_t v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v));
}
void put32(std::string& out, uint32_t v) {
  put16(out, static_cast<uint16_t>(v >> 16));
  put16(out, static_cast<uint16_t>(v));
}

// An uncompressed name at `at`, which is moved behind it.
bool readName(std::string_view p, size_t& at, std::string& name) {
  size_t begin = at;
  for (;;) {
    if (at >= p.size()) return false;
    size_t length = static_cast<uint8_t>(p[at]);
    ++at;
    if (length == 0) return at - begin <= 255;
    if (length > 63 || at + length > p.size() || at - begin > 255) return false;
    if (!name.empty()) name.push_back('.');
    for (char c : p.substr(at, length)) name.push_back(c == '.' ? '\0' : c);  // a dot within a label matches nothing
    at += length;
  }
}

// Behind a name that may be compressed.
bool skipName(std::string_view p, size_t& at) {
  while (at < p.size()) {
    uint8_t length = static_cast<uint8_t>(p[at]);
    if (length == 0) return ++at, true;
    if ((length & 0xc0) == 0xc0) return at += 2, at <= p.size();
    if (length > 63) return false;
    at += 1 + length;
  }
  return false;
}

// The OPT record, if the records behind the question are sound.
void readEdns(std::string_view p, size_t at, Question& q) {
  size_t records = size_t{get16(p, 6)} + get16(p, 8) + get16(p, 10);
  for (size_t i = 0; i < records; ++i) {
    if (!skipName(p, at) || at + 10 > p.size()) return;
    if (get16(p, at) == kOpt) {
      q.edns = true;
      q.udpSize = std::max<uint16_t>(512, get16(p, at + 2));
      return;
    }
    at += 10 + get16(p, at + 8);
  }
}

void appendRecord(std::string& out, const Question& q, const Record& r) {
  if (equalFold(r.name, q.name)) {
    put16(out, 0xc000 | kHeader);
  } else {
    out += wireName(r.name);
  }
  put16(out, r.type);
  put16(out, 1);
  put32(out, r.ttl);
  put16(out, static_cast<uint16_t>(r.data.size()));
  out += r.data;
}

}  // namespace

std::optional<Question> parseQuestion(std::string_view p) {
  if (p.size() < kHeader || (p[2] & 0x80) != 0 || get16(p, 4) != 1) return std::nullopt;
  Question q;
  q.id = get16(p, 0);
  q.opcode = (static_cast<uint8_t>(p[2]) >> 3) & 15;
  q.recursionDesired = (p[2] & 1) != 0;
  size_t at = kHeader;
  if (!readName(p, at, q.name) || at + 4 > p.size()) return std::nullopt;
  q.wire = p.substr(kHeader, at - kHeader);
  q.type = get16(p, at);
  q.klass = get16(p, at + 2);
  readEdns(p, at + 4, q);
  return q;
}

std::string writeAnswer(const Question& q, const Answer& a, size_t limit) {
  std::string out;
  put16(out, q.id);
  out.push_back(static_cast<char>(0x80 | q.opcode << 3 | (a.authoritative ? 4 : 0) | (q.recursionDesired ? 1 : 0)));
  out.push_back(static_cast<char>(0x80 | a.rcode));
  out.append(std::string_view("\0\1\0\0\0\0\0\0", 8));
  out += q.wire;
  put16(out, q.type);
  put16(out, q.klass);
  size_t room = limit - (q.edns ? kOptRecord : 0);
  uint16_t counts[3] = {};
  bool full = false;
  const std::vector<Record>* sections[] = {&a.answers, &a.authority, &a.additional};
  for (int s = 0; s < 3 && !full; ++s) {
    for (const Record& r : *sections[s]) {
      size_t before = out.size();
      appendRecord(out, q, r);
      if (out.size() > room) {
        out.resize(before);
        full = true;
        if (s < 2) out[2] |= 2;  // additional records may be missing without notice
        break;
      }
      ++counts[s];
    }
  }
  if (q.edns) {
    out.push_back('\0');
    put16(out, kOpt);
    put16(out, kOurUdpSize);
    put32(out, 0);
    put16(out, 0);
    ++counts[2];
  }
  for (int s = 0; s < 3; ++s) {
    out[6 + 2 * s] = static_cast<char>(counts[s] >> 8);
    out[7 + 2 * s] = static_cast<char>(counts[s]);
  }
  return out;
}

std::string writeError(std::string_view p, Rcode rcode) {
  if (p.size() < kHeader || (p[2] & 0x80) != 0) return {};
  std::string out(p.substr(0, 2));
  out.push_back(static_cast<char>(0x80 | (p[2] & 0x79)));
  out.push_back(static_cast<char>(0x80 | rcode));
  out.append(8, '\0');
  return out;
}

std::vector<ParsedRecord> parseAnswers(std::string_view p) {
  std::vector<ParsedRecord> out;
  if (p.size() < kHeader) return out;
  size_t at = kHeader;
  for (size_t i = get16(p, 4); i > 0; --i) {
    if (!skipName(p, at)) return out;
    at += 4;
  }
  for (size_t i = get16(p, 6); i > 0; --i) {
    if (!skipName(p, at) || at + 10 > p.size()) return out;
    size_t length = get16(p, at + 8);
    if (at + 10 + length > p.size()) return out;
    uint32_t ttl = uint32_t{get16(p, at + 4)} << 16 | get16(p, at + 6);
    out.push_back({get16(p, at), ttl, std::string(p.substr(at + 10, length))});
    at += 10 + length;
  }
  return out;
}

std::string wireName(std::string_view name) {
  std::string out;
  if (!name.empty()) {
    for (std::string_view label : split(name, '.')) {
      if (label.empty() || label.size() > 63) return {};
      out.push_back(static_cast<char>(label.size()));
      out += label;
    }
  }
  out.push_back('\0');
  return out.size() > 255 ? std::string() : out;
}

std::string addressData(std::string_view address, uint16_t type) {
  char bytes[16];
  if (inet_pton(type == kA ? AF_INET : AF_INET6, std::string(address).c_str(), bytes) != 1) return {};
  return std::string(bytes, type == kA ? 4 : 16);
}

std::string srvData(uint16_t priority, uint16_t weight, uint16_t port, std::string_view target) {
  std::string out;
  put16(out, priority);
  put16(out, weight);
  put16(out, port);
  return out + wireName(target);
}

std::string txtData(std::string_view text) {
  std::string out;
  do {
    std::string_view part = text.substr(0, 255);
    out.push_back(static_cast<char>(part.size()));
    out += part;
    text.remove_prefix(part.size());
  } while (!text.empty());
  return out;
}

std::string soaData(std::string_view primary, std::string_view mail, uint32_t serial, uint32_t minimum) {
  std::string out = wireName(primary) + wireName(mail);
  for (uint32_t v : {serial, 7200u, 1800u, 86400u, minimum}) put32(out, v);
  return out;
}

}  // namespace km::dns
