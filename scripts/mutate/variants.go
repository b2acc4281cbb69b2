package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// chooser is the text of a file that is added to a package: the environment chooses a
// variant.
const chooser = `package %s

import (
	"os"
	"strconv"
)

var mutantNumber, _ = strconv.Atoi(os.Getenv("MUTANT"))
`

// variant is a copy of a function, with one mutant in its body. A file has the
// function and all its variants; the function calls the one that is chosen. So the
// package is built once for all of them.
type variant struct {
	mutant      *mutant
	number      int // chooses it
	first, last int // its lines in the file
}

// addVariants returns the file src with the variants, and sets the lines of those.
func addVariants(src []byte, variants []*variant) ([]byte, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	text := func(n ast.Node) string { return string(src[offset(n.Pos()):offset(n.End())]) }
	var out, copies strings.Builder
	copied := 0 // of src
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		start, end := offset(f.Body.Lbrace)+1, offset(f.Body.Rbrace)
		own := slices.DeleteFunc(slices.Clone(variants), func(v *variant) bool {
			return v.mutant.start < start || end < v.mutant.end
		})
		if len(own) == 0 {
			continue
		}
		head, call := signature(f, text)
		fmt.Fprintf(&out, "%s%s {\nswitch mutantNumber {\n", src[copied:offset(f.Pos())], fmt.Sprintf(head, f.Name.Name))
		copied = start
		for _, v := range own {
			name := fmt.Sprintf("mutant%d", v.number)
			fmt.Fprintf(&out, "case %d: %s\n", v.number, fmt.Sprintf(call, name))
			faulty := v.mutant.source()
			v.first = strings.Count(copies.String(), "\n")
			fmt.Fprintf(&copies, "%s {%s}\n", fmt.Sprintf(head, name), faulty[start:end+len(faulty)-len(src)])
			v.last = strings.Count(copies.String(), "\n") - 1
		}
		out.WriteString("}\n")
	}
	fmt.Fprintf(&out, "%s\n", src[copied:])
	line := strings.Count(out.String(), "\n") + 1
	for _, v := range variants {
		v.first, v.last = v.first+line, v.last+line
	}
	return []byte(out.String() + copies.String()), nil
}

// signature returns formats, for a name, of the head of a function like f, in which
// all parameters have names, and of a call that passes them.
func signature(f *ast.FuncDecl, text func(ast.Node) string) (head, call string) {
	n := 0
	list := func(fields *ast.FieldList) (with, names []string) {
		for _, field := range fields.List {
			for i := range max(1, len(field.Names)) {
				n++
				name := fmt.Sprintf("parameter%d", n)
				if len(field.Names) > 0 && field.Names[i].Name != "_" {
					name = field.Names[i].Name
				}
				with = append(with, name+" "+text(field.Type))
				if _, ok := field.Type.(*ast.Ellipsis); ok {
					name += "..."
				}
				names = append(names, name)
			}
		}
		return with, names
	}
	head, call = "func ", "%s"
	if f.Recv != nil {
		with, names := list(f.Recv)
		head += "(" + with[0] + ") "
		call = names[0] + ".%s"
	}
	with, names := list(f.Type.Params)
	head += "%s(" + strings.Join(with, ", ") + ")"
	call += "(" + strings.Join(names, ", ") + ")"
	if f.Type.Results == nil {
		return head, call + "; return"
	}
	return head + " " + text(f.Type.Results), "return " + call
}
