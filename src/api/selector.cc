#include "api/selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "api/validation.h"
#include "codec/ops.h"

namespace km::api {
namespace {

using Op = LabelSelector::Op;
using Requirement = LabelSelector::Requirement;

bool toInt(std::string_view s, int64_t& v) {
  if (!s.empty() && s[0] == '+') s.remove_prefix(1);
  auto r = std::from_chars(s.data(), s.data() + s.size(), v);
  return !s.empty() && r.ec == std::errc() && r.ptr == s.data() + s.size();
}

std::string goStringList(const std::vector<std::string>& values) {
  std::string out = "[]string{";
  for (size_t i = 0; i < values.size(); i++) out += (i ? ", " : "") + goQuote(values[i]);
  return out + "}";
}

// labels.NewRequirement: success, or the errors joined.
Status checkRequirement(const Requirement& r, const Path& path) {
  FieldErrors errors;
  Messages bad = isQualifiedName(r.key);
  if (!bad.empty()) errors.invalid(path.child("key"), r.key, fmt::format("{}", fmt::join(bad, "; ")));
  Path values = path.child("values");
  switch (r.op) {
    case Op::kIn:
    case Op::kNotIn:
      if (r.values.empty()) {
        errors.invalid(values, BadValue::raw(goStringList(r.values)), "for 'in', 'notin' operators, values set can't be empty");
      }
      break;
    case Op::kExists:
    case Op::kDoesNotExist:
      if (!r.values.empty()) {
        errors.invalid(values, BadValue::raw(goStringList(r.values)), "values set must be empty for exists and does not exist");
      }
      break;
    case Op::kGreaterThan:
    case Op::kLessThan: {
      int64_t unused;
      if (r.values.size() != 1) {
        errors.invalid(values, BadValue::raw(goStringList(r.values)), "for 'Gt', 'Lt' operators, exactly one value is required");
      }
      for (size_t i = 0; i < r.values.size(); i++) {
        if (!toInt(r.values[i], unused)) {
          errors.invalid(values.index(i), r.values[i], "for 'Gt', 'Lt' operators, the value must be an integer");
        }
      }
      break;
    }
  }
  for (size_t i = 0; i < r.values.size(); i++) {
    Messages m = isValidLabelValue(r.values[i]);
    if (!m.empty()) errors.invalid(values.index(i).key(r.key), r.values[i], fmt::format("{}", fmt::join(m, "; ")));
  }
  if (errors.empty()) return {};
  return errors::badRequest(errors.aggregate());
}

struct Token {
  enum Kind { kEnd, kIdentifier, kSymbol, kWord } kind;  // kWord: "in", "notin"
  std::string text;
};

bool isSpecial(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }
bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::vector<Token> tokens(std::string_view s) {
  std::vector<Token> out;
  size_t i = 0;
  while (i < s.size()) {
    if (isBlank(s[i])) {
      i++;
    } else if (isSpecial(s[i])) {
      size_t n = 1;
      if (i + 1 < s.size() && s[i + 1] == '=' && (s[i] == '=' || s[i] == '!')) n = 2;
      out.push_back({Token::kSymbol, std::string(s.substr(i, n))});
      i += n;
    } else {
      size_t begin = i;
      while (i < s.size() && !isSpecial(s[i]) && !isBlank(s[i])) i++;
      std::string word(s.substr(begin, i - begin));
      bool keyword = word == "in" || word == "notin";
      out.push_back({keyword ? Token::kWord : Token::kIdentifier, std::move(word)});
    }
  }
  out.push_back({Token::kEnd, ""});
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : tokens_(tokens(text)) {}

  Result<std::vector<Requirement>> run() {
    std::vector<Requirement> out;
    for (;;) {
      const Token& t = now();
      if (t.kind == Token::kEnd) return out;
      if (!identifier(t) && !symbol(t, "!")) {
        return errors::badRequest(fmt::format("found '{}', expected: !, identifier, or 'end of string'", t.text));
      }
      auto r = requirement();
      if (!r.ok()) return errors::badRequest("unable to parse requirement: " + r.status().message());
      out.push_back(std::move(*r));
      const Token& after = take();
      if (after.kind == Token::kEnd) return out;
      if (!symbol(after, ",")) {
        return errors::badRequest(fmt::format("found '{}', expected: ',' or 'end of string'", after.text));
      }
      if (!identifier(now()) && !symbol(now(), "!")) {
        return errors::badRequest(fmt::format("found '{}', expected: identifier after ','", now().text));
      }
    }
  }

 private:
  static bool symbol(const Token& t, std::string_view s) { return t.kind == Token::kSymbol && t.text == s; }
  // As a value, a keyword is an identifier.
  static bool identifier(const Token& t) { return t.kind == Token::kIdentifier || t.kind == Token::kWord; }
  const Token& now() const { return tokens_[i_]; }
  const Token& take() {
    const Token& t = tokens_[i_];
    if (i_ + 1 < tokens_.size()) i_++;
    return t;
  }

  Result<Requirement> requirement() {
    Requirement r;
    bool negated = symbol(now(), "!");
    if (negated) take();
    const Token& key = take();
    if (!identifier(key)) return errors::badRequest(fmt::format("found '{}', expected: identifier", key.text));
    r.key = key.text;
    Messages bad = isQualifiedName(r.key);
    if (!bad.empty()) {
      FieldErrors e;
      e.invalid(Path(), r.key, fmt::format("{}", fmt::join(bad, "; ")));
      return errors::badRequest(e.aggregate());
    }
    if (negated || now().kind == Token::kEnd || symbol(now(), ",")) {
      r.op = negated ? Op::kDoesNotExist : Op::kExists;
      return checked(std::move(r));
    }
    const Token& op = take();
    if (op.kind == Token::kWord) {
      r.op = op.text == "in" ? Op::kIn : Op::kNotIn;
      KM_TRY(list(r.values));
    } else if (op.kind == Token::kSymbol && (op.text == "=" || op.text == "==" || op.text == "!=" || op.text == ">" || op.text == "<")) {
      r.op = op.text == "!=" ? Op::kNotIn : op.text == ">" ? Op::kGreaterThan : op.text == "<" ? Op::kLessThan : Op::kIn;
      r.equals = true;
      KM_TRY(exact(r.values));
    } else {
      return errors::badRequest(fmt::format("found '{}', expected: in, notin, =, ==, !=, gt, lt", op.text));
    }
    return checked(std::move(r));
  }

  static Result<Requirement> checked(Requirement r) {
    std::sort(r.values.begin(), r.values.end());
    r.values.erase(std::unique(r.values.begin(), r.values.end()), r.values.end());
    KM_TRY(checkRequirement(r, Path()));
    return r;
  }

  Status exact(std::vector<std::string>& values) {
    if (now().kind == Token::kEnd || symbol(now(), ",")) {
      values.emplace_back();
      return {};
    }
    const Token& t = take();
    if (!identifier(t)) return errors::badRequest(fmt::format("found '{}', expected: identifier", t.text));
    values.push_back(t.text);
    return {};
  }

  Status list(std::vector<std::string>& values) {
    const Token& open = take();
    if (!symbol(open, "(")) return errors::badRequest(fmt::format("found '{}' expected: '('", open.text));
    if (symbol(now(), ")")) {
      take();
      values.emplace_back();
      return {};
    }
    if (!identifier(now()) && !symbol(now(), ",")) {
      return errors::badRequest(fmt::format("found '{}', expected: ',', ')' or identifier", now().text));
    }
    // Between commas stands a value or nothing.
    for (;;) {
      if (identifier(now())) {
        values.push_back(take().text);
        if (!symbol(now(), ",") && !symbol(now(), ")")) {
          return errors::badRequest(fmt::format("found '{}', expected: ',' or ')'", now().text));
        }
      } else if (symbol(now(), ",") || symbol(now(), ")")) {
        values.emplace_back();
      } else {
        return errors::badRequest(fmt::format("found '{}', expected: ',', or identifier", now().text));
      }
      if (symbol(take(), ")")) return {};
    }
  }

  std::vector<Token> tokens_;
  size_t i_ = 0;
};

}  // namespace

bool Requirement::matches(const codec::Map<codec::String>& labels) const {
  const codec::String* v = labels.find(key);
  auto has = [&] { return std::find(values.begin(), values.end(), v->view()) != values.end(); };
  switch (op) {
    case Op::kIn: return v != nullptr && has();
    case Op::kNotIn: return v == nullptr || !has();
    case Op::kExists: return v != nullptr;
    case Op::kDoesNotExist: return v == nullptr;
    case Op::kGreaterThan:
    case Op::kLessThan: {
      int64_t have, want;
      if (v == nullptr || values.size() != 1 || !toInt(*v, have) || !toInt(values[0], want)) return false;
      return op == Op::kGreaterThan ? have > want : have < want;
    }
  }
  return false;
}

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  KM_ASSIGN(auto requirements, Parser(text).run());
  LabelSelector s;
  s.requirements_ = std::move(requirements);
  std::stable_sort(s.requirements_.begin(), s.requirements_.end(), [](auto& a, auto& b) { return a.key < b.key; });
  return s;
}

Result<LabelSelector> LabelSelector::from(const meta_v1::LabelSelector& selector) {
  LabelSelector s;
  for (const auto& [key, value] : selector.matchLabels) {
    Requirement r{key.str(), Op::kIn, {value.str()}, true};
    KM_TRY(checkRequirement(r, Path()));
    s.requirements_.push_back(std::move(r));
  }
  for (const auto& e : selector.matchExpressions) {
    Requirement r;
    r.key = e.key.str();
    for (const auto& v : e.values) r.values.push_back(v.str());
    std::sort(r.values.begin(), r.values.end());
    if (e.operator_ == "In") {
      r.op = Op::kIn;
    } else if (e.operator_ == "NotIn") {
      r.op = Op::kNotIn;
    } else if (e.operator_ == "Exists") {
      r.op = Op::kExists;
    } else if (e.operator_ == "DoesNotExist") {
      r.op = Op::kDoesNotExist;
    } else {
      return errors::badRequest(fmt::format("{} is not a valid label selector operator", goQuote(e.operator_)));
    }
    KM_TRY(checkRequirement(r, Path()));
    s.requirements_.push_back(std::move(r));
  }
  std::stable_sort(s.requirements_.begin(), s.requirements_.end(), [](auto& a, auto& b) { return a.key < b.key; });
  return s;
}

LabelSelector LabelSelector::ofSet(const codec::Map<codec::String>& set) {
  LabelSelector s;
  for (const auto& [key, value] : set) s.requirements_.push_back({key.str(), Op::kIn, {value.str()}, true});
  return s;
}

LabelSelector LabelSelector::nothing() {
  LabelSelector s;
  s.nothing_ = true;
  return s;
}

bool LabelSelector::matches(const codec::Map<codec::String>& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& r) { return r.matches(labels); });
}

std::string LabelSelector::str() const {
  std::string out;
  for (const Requirement& r : requirements_) {
    if (!out.empty()) out += ',';
    switch (r.op) {
      case Op::kExists: out += r.key; break;
      case Op::kDoesNotExist: out += "!" + r.key; break;
      case Op::kGreaterThan: out += fmt::format("{}>{}", r.key, r.values[0]); break;
      case Op::kLessThan: out += fmt::format("{}<{}", r.key, r.values[0]); break;
      case Op::kIn:
      case Op::kNotIn:
        if (r.equals) {
          out += fmt::format("{}{}{}", r.key, r.op == Op::kIn ? "=" : "!=", r.values[0]);
        } else {
          out += fmt::format("{} {} ({})", r.key, r.op == Op::kIn ? "in" : "notin", fmt::join(r.values, ","));
        }
    }
  }
  return out;
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector s;
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      parts.back() += text[i++];
      parts.back() += text[i];
    } else if (text[i] == ',') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  // Upstream reads them sorted, so that is the order of errors.
  std::sort(parts.begin(), parts.end());
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    size_t at = part.find_first_of("=!");
    bool ok = at != std::string::npos && (part[at] == '=' || part.compare(at, 2, "!=") == 0);
    if (!ok) {
      return errors::badRequest(fmt::format("invalid selector: '{}'; can't understand '{}'", text, part));
    }
    Term t;
    t.field = part.substr(0, at);
    t.notEqual = part[at] == '!';
    size_t valueAt = at + (t.notEqual || part.compare(at, 2, "==") == 0 ? 2 : 1);
    for (size_t i = valueAt; i < part.size(); i++) {
      if (part[i] == '\\') {
        std::string_view escaped = std::string_view(part).substr(i + 1, 1);
        if (escaped.empty() || std::string_view("\\,=").find(escaped) == std::string_view::npos) {
          return errors::badRequest(fmt::format("invalid field selector: invalid escape sequence: \\{}", escaped));
        }
        i++;
      } else if (part[i] == '=') {
        return errors::badRequest(fmt::format("invalid field selector: unescaped character in value: {}", static_cast<int>(part[i])));
      }
      t.value += part[i];
    }
    s.terms_.push_back(std::move(t));
  }
  return s;
}

bool FieldSelector::matches(const std::function<std::string(std::string_view)>& value) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& t) { return (value(t.field) == t.value) != t.notEqual; });
}

const std::string* FieldSelector::exact(std::string_view field) const {
  for (const Term& t : terms_) {
    if (!t.notEqual && t.field == field) return &t.value;
  }
  return nullptr;
}

std::string FieldSelector::str() const {
  std::string out;
  for (const Term& t : terms_) {
    out += fmt::format("{}{}{}", out.empty() ? "" : ",", t.field, t.notEqual ? "!=" : "=");
    for (char c : t.value) {
      if (c == '\\' || c == ',' || c == '=') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string fieldText(const void* object, const codec::TypeInfo& type, std::string_view path) {
  const codec::TypeInfo* t = &type;
  for (;;) {
    size_t dot = path.find('.');
    const codec::Field* f = t->find(path.substr(0, dot));
    if (f == nullptr || f->shape == codec::Shape::kList || f->shape == codec::Shape::kMap) return "";
    const void* p = codec::at(object, *f);
    if (f->shape == codec::Shape::kOpt && codec::isEmptyField(object, *f)) return "";
    if (f->kind == codec::Kind::kMessage) {
      if (dot == std::string_view::npos) return "";
      object = f->shape == codec::Shape::kOpt ? *static_cast<void* const*>(p) : p;
      t = f->type;
      path.remove_prefix(dot + 1);
      continue;
    }
    switch (f->kind) {
      case codec::Kind::kString: return static_cast<const codec::String*>(p)->str();
      case codec::Kind::kBool: return *static_cast<const bool*>(p) ? "true" : "false";
      case codec::Kind::kInt32: return std::to_string(*static_cast<const int32_t*>(p));
      case codec::Kind::kInt64: return std::to_string(*static_cast<const int64_t*>(p));
      default: return "";
    }
  }
}

}  // namespace km::api
