#include "base/flag_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "base/duration.h"
#include "base/result.h"
#include "base/strings.h"

namespace km {

bool FlagValue::isZero(std::string_view def) const {
  return def == "false" || def == "<nil>" || def.empty() || def == "0";
}

namespace flag_values {
namespace {

Status syntaxError(std::string_view function, std::string_view text) {
  return errors::badRequest("strconv." + std::string(function) + ": parsing " + quote(text) +
                            ": invalid syntax");
}

Status rangeError(std::string_view function, std::string_view text) {
  return errors::badRequest("strconv." + std::string(function) + ": parsing " + quote(text) +
                            ": value out of range");
}

// Digits with Go's base prefixes (0x, 0o, 0b, 0) and underscores between digits.
Result<uint64_t> parseMagnitude(std::string_view digits, std::string_view function, std::string_view whole) {
  int base = 10;
  bool prefixed = false;
  if (digits.size() > 1 && digits[0] == '0') {
    char c = static_cast<char>(digits[1] | 0x20);
    base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 8;
    digits.remove_prefix(c == 'x' || c == 'o' || c == 'b' ? 2 : 1);
    prefixed = true;
  }
  uint64_t value = 0;
  bool overflow = false, lastDigit = prefixed, any = false;
  for (char c : digits) {
    if (c == '_') {
      if (!prefixed || !lastDigit) return syntaxError(function, whole);
      lastDigit = false;
      continue;
    }
    char l = static_cast<char>(c | 0x20);
    int d = c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : 99;
    if (d >= base) return syntaxError(function, whole);
    overflow |= __builtin_mul_overflow(value, static_cast<uint64_t>(base), &value);
    overflow |= __builtin_add_overflow(value, static_cast<uint64_t>(d), &value);
    lastDigit = any = true;
  }
  if (!any || !lastDigit) return syntaxError(function, whole);
  if (overflow) return rangeError(function, whole);
  return value;
}

template <typename T>
Result<T> parseSigned(std::string_view text) {
  std::string_view digits = text;
  bool negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  KM_ASSIGN(uint64_t value, parseMagnitude(digits, "ParseInt", text));
  uint64_t limit = static_cast<uint64_t>(std::numeric_limits<T>::max()) + (negative ? 1 : 0);
  if (value > limit) return rangeError("ParseInt", text);
  return static_cast<T>(negative ? 0 - value : value);
}

Result<bool> parseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return syntaxError("ParseBool", text);
}

// One record of encoding/csv.
Result<std::vector<std::string>> readCsv(std::string_view text) {
  std::vector<std::string> fields;
  auto problem = [](size_t column, std::string_view what) {
    return errors::badRequest("parse error on line 1, column " + std::to_string(column) + ": " +
                              std::string(what));
  };
  size_t i = 0;
  for (;;) {
    std::string field;
    if (i < text.size() && text[i] == '"') {
      i++;
      for (;; i++) {
        if (i == text.size()) return problem(i + 1, "extraneous or missing \" in quoted-field");
        if (text[i] != '"') {
          field += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == '"') {
          field += text[i++];
        } else {
          break;
        }
      }
      i++;
      if (i < text.size() && text[i] != ',' && text[i] != '\n') {
        return problem(i, "extraneous or missing \" in quoted-field");
      }
    } else {
      for (; i < text.size() && text[i] != ',' && text[i] != '\n'; i++) {
        if (text[i] == '"') return problem(i + 1, "bare \" in non-quoted field");
        field += text[i];
      }
    }
    fields.push_back(std::move(field));
    if (i >= text.size() || text[i] == '\n') return fields;
    i++;
  }
}

std::string writeCsv(const std::vector<std::string>& fields) {
  std::string out;
  for (size_t i = 0; i < fields.size(); i++) {
    const std::string& f = fields[i];
    if (i > 0) out += ',';
    bool quoted = f == "\\." || f.find_first_of(",\"\r\n") != std::string::npos ||
                  (!f.empty() && (f[0] == ' ' || f[0] == '\t'));
    out += quoted ? '"' + replaceAll(f, "\"", "\"\"") + '"' : f;
  }
  return out;
}

class BoolValue final : public FlagValue {
 public:
  explicit BoolValue(bool* target) : target_(target) {}
  Status set(std::string_view text) override {
    KM_ASSIGN(*target_, parseBool(text));
    return {};
  }
  std::string str() const override { return *target_ ? "true" : "false"; }
  std::string type() const override { return "bool"; }

 private:
  bool* target_;
};

template <typename T>
class IntValue final : public FlagValue {
 public:
  IntValue(T* target, std::string type) : target_(target), type_(std::move(type)) {}
  Status set(std::string_view text) override {
    if constexpr (std::is_signed_v<T>) {
      KM_ASSIGN(*target_, parseSigned<T>(text));
    } else {
      KM_ASSIGN(uint64_t value, parseMagnitude(text, "ParseUint", text));
      if (value > std::numeric_limits<T>::max()) return rangeError("ParseUint", text);
      *target_ = static_cast<T>(value);
    }
    return {};
  }
  std::string str() const override { return std::to_string(*target_); }
  std::string type() const override { return type_; }

 private:
  T* target_;
  std::string type_;
};

template <typename T>
class FloatValue final : public FlagValue {
 public:
  explicit FloatValue(T* target) : target_(target) {}
  Status set(std::string_view text) override {
    std::string copy(text);
    char* end = nullptr;
    errno = 0;
    bool spaces = copy.empty() || copy[0] == ' ' || (copy[0] >= '\t' && copy[0] <= '\r');
    double value = std::strtod(copy.c_str(), &end);
    if (spaces || end != copy.c_str() + copy.size()) return syntaxError("ParseFloat", text);
    bool finite = value - value == 0;
    bool beyond =
        finite && (value > std::numeric_limits<T>::max() || value < std::numeric_limits<T>::lowest());
    if (beyond || (!finite && errno == ERANGE)) return rangeError("ParseFloat", text);
    *target_ = static_cast<T>(value);
    return {};
  }
  std::string str() const override {
    if constexpr (sizeof(T) == 4) return formatGoFloat32(*target_);
    return formatGoFloat(*target_);
  }
  std::string type() const override { return sizeof(T) == 4 ? "float32" : "float64"; }

 private:
  T* target_;
};

class IpValue final : public FlagValue {
 public:
  explicit IpValue(std::string* target) : target_(target) {}
  Status set(std::string_view text) override {
    std::string trimmed(trimSpace(text));
    unsigned char bytes[16];
    for (int family : {AF_INET, AF_INET6}) {
      if (inet_pton(family, trimmed.c_str(), bytes) != 1) continue;
      char canonical[INET6_ADDRSTRLEN];
      *target_ = inet_ntop(family, bytes, canonical, sizeof canonical);
      return {};
    }
    return errors::badRequest("failed to parse IP: " + quote(text));
  }
  std::string str() const override { return target_->empty() ? "<nil>" : *target_; }
  std::string type() const override { return "ip"; }
  bool isZero(std::string_view def) const override { return def == "<nil>"; }

 private:
  std::string* target_;
};

class IntListValue final : public FlagValue {
 public:
  explicit IntListValue(std::vector<int32_t>* target) : target_(target) {}
  Status set(std::string_view text) override {
    std::vector<int32_t> more;
    for (std::string_view part : split(text, ',')) {
      KM_ASSIGN(int32_t value, parseSigned<int32_t>(part));
      more.push_back(value);
    }
    if (!changed_) target_->clear();
    changed_ = true;
    target_->insert(target_->end(), more.begin(), more.end());
    return {};
  }
  std::string str() const override {
    std::vector<std::string> texts;
    for (int32_t value : *target_) texts.push_back(std::to_string(value));
    return "[" + join(texts, ",") + "]";
  }
  std::string type() const override { return "int32Slice"; }

 private:
  std::vector<int32_t>* target_;
  bool changed_ = false;
};

class TextValue final : public FlagValue {
 public:
  explicit TextValue(std::string* target) : target_(target) {}
  Status set(std::string_view text) override {
    *target_ = text;
    return {};
  }
  std::string str() const override { return *target_; }
  std::string type() const override { return "string"; }
  bool isZero(std::string_view def) const override { return def.empty(); }

 private:
  std::string* target_;
};

class DurationValue final : public FlagValue {
 public:
  explicit DurationValue(Duration* target) : target_(target) {}
  Status set(std::string_view text) override {
    KM_ASSIGN(*target_, parseDuration(text));
    return {};
  }
  std::string str() const override { return formatDuration(*target_); }
  std::string type() const override { return "duration"; }
  bool isZero(std::string_view def) const override { return def == "0" || def == "0s"; }

 private:
  Duration* target_;
};

class ListValue final : public FlagValue {
 public:
  ListValue(std::vector<std::string>* target, bool csv) : target_(target), csv_(csv) {}
  Status set(std::string_view text) override {
    std::vector<std::string> more;
    if (!csv_) {
      more.emplace_back(text);
    } else if (!text.empty()) {
      KM_ASSIGN(more, readCsv(text));
    }
    if (!changed_) target_->clear();
    changed_ = true;
    target_->insert(target_->end(), more.begin(), more.end());
    return {};
  }
  std::string str() const override { return "[" + writeCsv(*target_) + "]"; }
  std::string type() const override { return csv_ ? "stringSlice" : "stringArray"; }
  bool isZero(std::string_view def) const override { return def == "[]"; }

 private:
  std::vector<std::string>* target_;
  bool csv_;
  bool changed_ = false;
};

class StringMapValue final : public FlagValue {
 public:
  explicit StringMapValue(std::map<std::string, std::string>* target) : target_(target) {}
  Status set(std::string_view text) override {
    std::vector<std::string> pairs;
    auto count = std::count(text.begin(), text.end(), '=');
    if (count == 0) return errors::badRequest(std::string(text) + " must be formatted as key=value");
    if (count == 1) {
      std::string_view bare = text;
      while (!bare.empty() && bare.front() == '"') bare.remove_prefix(1);
      while (!bare.empty() && bare.back() == '"') bare.remove_suffix(1);
      pairs.emplace_back(bare);
    } else {
      KM_ASSIGN(pairs, readCsv(text));
    }
    std::map<std::string, std::string> out;
    for (const std::string& pair : pairs) {
      auto kv = cut(pair, '=');
      if (!kv) return errors::badRequest(pair + " must be formatted as key=value");
      out[std::string(kv->first)] = kv->second;
    }
    if (!changed_) target_->clear();
    changed_ = true;
    for (auto& [k, v] : out) (*target_)[k] = v;
    return {};
  }
  std::string str() const override {
    std::vector<std::string> records;
    for (const auto& [k, v] : *target_) records.push_back(k + "=" + v);
    return "[" + std::string(trimSpace(writeCsv(records))) + "]";
  }
  std::string type() const override { return "stringToString"; }

 private:
  std::map<std::string, std::string>* target_;
  bool changed_ = false;
};

class BoolMapValue final : public FlagValue {
 public:
  explicit BoolMapValue(std::map<std::string, bool>* target) : target_(target) {}
  Status set(std::string_view text) override {
    if (!changed_) target_->clear();
    changed_ = true;
    for (std::string_view pair : split(text, ',')) {
      if (pair.empty()) continue;
      auto kv = cut(pair, '=');
      if (!kv) return errors::badRequest("malformed pair, expect string=bool");
      std::string_view key = trimSpace(kv->first), value = trimSpace(kv->second);
      Result<bool> on = parseBool(value);
      if (!on.ok()) {
        return errors::badRequest("invalid value of " + std::string(key) + ": " + std::string(value) +
                                  ", err: " + on.status().message());
      }
      (*target_)[std::string(key)] = *on;
    }
    return {};
  }
  std::string str() const override {
    std::vector<std::string> pairs;
    for (const auto& [k, v] : *target_) pairs.push_back(k + (v ? "=true" : "=false"));
    return join(pairs, ",");
  }
  std::string type() const override { return "mapStringBool"; }

 private:
  std::map<std::string, bool>* target_;
  bool changed_ = false;
};

class FuncValue final : public FlagValue {
 public:
  FuncValue(std::function<Status(std::string_view)> set, std::string type)
      : set_(std::move(set)), type_(std::move(type)) {}
  Status set(std::string_view text) override {
    KM_TRY(set_(text));
    last_ = text;
    return {};
  }
  std::string str() const override { return last_; }
  std::string type() const override { return type_; }

 private:
  std::function<Status(std::string_view)> set_;
  std::string type_, last_;
};

}  // namespace

std::unique_ptr<FlagValue> boolean(bool* target) {
  return std::make_unique<BoolValue>(target);
}
std::unique_ptr<FlagValue> integer(int* target, std::string type) {
  return std::make_unique<IntValue<int>>(target, std::move(type));
}
std::unique_ptr<FlagValue> integer(int64_t* target) {
  return std::make_unique<IntValue<int64_t>>(target, "int64");
}
std::unique_ptr<FlagValue> integer(uint32_t* target) {
  return std::make_unique<IntValue<uint32_t>>(target, "uint32");
}
std::unique_ptr<FlagValue> floating(double* target) {
  return std::make_unique<FloatValue<double>>(target);
}
std::unique_ptr<FlagValue> floating(float* target) {
  return std::make_unique<FloatValue<float>>(target);
}
std::unique_ptr<FlagValue> ip(std::string* target) {
  return std::make_unique<IpValue>(target);
}
std::unique_ptr<FlagValue> intSlice(std::vector<int32_t>* target) {
  return std::make_unique<IntListValue>(target);
}
std::unique_ptr<FlagValue> text(std::string* target) {
  return std::make_unique<TextValue>(target);
}
std::unique_ptr<FlagValue> duration(Duration* target) {
  return std::make_unique<DurationValue>(target);
}
std::unique_ptr<FlagValue> slice(std::vector<std::string>* target) {
  return std::make_unique<ListValue>(target, true);
}
std::unique_ptr<FlagValue> array(std::vector<std::string>* target) {
  return std::make_unique<ListValue>(target, false);
}
std::unique_ptr<FlagValue> stringMap(std::map<std::string, std::string>* target) {
  return std::make_unique<StringMapValue>(target);
}
std::unique_ptr<FlagValue> boolMap(std::map<std::string, bool>* target) {
  return std::make_unique<BoolMapValue>(target);
}
std::unique_ptr<FlagValue> function(std::function<Status(std::string_view)> set, std::string type) {
  return std::make_unique<FuncValue>(std::move(set), std::move(type));
}

}  // namespace flag_values
}  // namespace km
