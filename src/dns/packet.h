// DNS messages: bytes <-> question and answer. Pure; any bytes are safe to parse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace km::dns {

enum Type : uint16_t {
  kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kTxt = 16, kAaaa = 28, kSrv = 33, kOpt = 41, kAny = 255
};
enum Rcode : uint8_t { kNoError = 0, kFormErr = 1, kServFail = 2, kNxDomain = 3, kNotImp = 4, kRefused = 5 };

struct Question {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursionDesired = false;
  std::string name;         // as asked, without the last dot; "" is the root
  std::string wire;         // the name's bytes as asked
  uint16_t type = 0, klass = 1;
  bool edns = false;
  uint16_t udpSize = 512;   // what the asker takes in a datagram
};

struct Record {
  std::string name;         // without the last dot
  uint16_t type = 0;
  uint32_t ttl = 0;
  std::string data;         // rdata; names in it are not compressed
};

struct Answer {
  Rcode rcode = kNoError;
  bool authoritative = false;
  std::vector<Record> answers, authority, additional;
};

// Nullopt: no message that can be answered (short, a response, not one question, a broken name).
std::optional<Question> parseQuestion(std::string_view packet);
// At most `limit` bytes: whole records are left out from the end and the truncation bit set if they don't fit.
std::string writeAnswer(const Question& question, const Answer& answer, size_t limit);
// An answer without records to a packet that holds at least a header; "" if it doesn't or is no query.
std::string writeError(std::string_view packet, Rcode rcode);

struct ParsedRecord {
  uint16_t type = 0;
  uint32_t ttl = 0;
  std::string data;  // as in the packet: names in it may be compressed
};
// The answer section of a response; what is broken ends it.
std::vector<ParsedRecord> parseAnswers(std::string_view packet);

// The wire form of a dotted name without escapes; labels over 63 bytes or names over 255 give "".
std::string wireName(std::string_view name);
std::string addressData(std::string_view address, uint16_t type);  // of kA, kAaaa; "" if it is none
std::string srvData(uint16_t priority, uint16_t weight, uint16_t port, std::string_view target);
std::string txtData(std::string_view text);
std::string soaData(std::string_view primary, std::string_view mail, uint32_t serial, uint32_t minimum);

}  // namespace km::dns
