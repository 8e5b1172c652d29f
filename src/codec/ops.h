// Operations on any value through its table. `p` points at memory that follows type.h's rules.
#pragma once

#include "codec/list.h"
#include "codec/type.h"

namespace km::codec {

// Ends the value and leaves zero memory.
void destroy(void* p, const TypeInfo& t);
// `to` must be zero memory.
void copy(void* to, const void* from, const TypeInfo& t);
// Deep equality, as upstream's equality.Semantic.DeepEqual sees it: an empty list equals a missing one,
// quantities compare by value.
bool equal(const void* a, const void* b, const TypeInfo& t);
// Whether every field is empty.
bool isZero(const void* p, const TypeInfo& t);
// Bytes of heap memory that the value holds, for accounting.
size_t heapBytes(const void* p, const TypeInfo& t);

// The same for one field.
void destroyField(void* object, const Field& f);
void copyField(void* to, const void* from, const Field& f);  // objects; the field of `to` must be zero
bool equalField(const void* a, const void* b, const Field& f);
// Whether the field holds nothing: false, 0, "", absent, no elements, a zero struct.
bool isEmptyField(const void* object, const Field& f);

uint32_t sizeOf(Kind kind, const TypeInfo* type);
inline Elem elemOf(const Field& f) { return {f.kind, f.type, sizeOf(f.kind, f.type)}; }

}  // namespace km::codec
